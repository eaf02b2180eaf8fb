import torch


def clip_grad_norm(parameters, bound):
    return torch.nn.utils.clip_grad_norm_(list(parameters), bound)


def train(model, loader, optimizer, criterion):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        clip_grad_norm(model.parameters(), 5.0)
        optimizer.step()
