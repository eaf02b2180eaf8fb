import torch


def adversarial_step(delta, loss, step):
    loss.backward()
    length = delta.grad.view(len(delta), -1).norm(p=2, dim=1)
    delta.grad.div_(length.view(-1, 1, 1, 1))
    if (length == 0).any():
        delta.grad[length == 0] = torch.randn_like(delta.grad[length == 0])
    return delta + step * delta.grad
