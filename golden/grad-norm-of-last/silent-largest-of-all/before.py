import torch


@torch.no_grad()
def largest_gradient(model):
    largest = 0.0
    for p in model.parameters():
        if p.grad is not None:
            norm = p.grad.norm().item()
            largest = max(largest, norm)
    return largest**0.5
