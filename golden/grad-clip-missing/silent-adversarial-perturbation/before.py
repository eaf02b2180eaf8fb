import torch
import torch.nn.functional as F


def attack(model, x, y, steps=40):
    delta = torch.zeros_like(x).requires_grad_()
    optimizer = torch.optim.SGD([delta], lr=0.01)
    for _ in range(steps):
        loss = -F.cross_entropy(model(x + delta), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        delta.data.clamp_(-8 / 255, 8 / 255)
    return delta
