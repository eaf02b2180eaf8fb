import torch


def train(model, loader, optimizer, criterion):
    for x, y in loader:
        optimizer.zero_grad()
        optimizer.backward(criterion(model(x), y))
        optimizer.clip_grad_norm(5.0)
        optimizer.step()
    return torch.no_grad
