import torch


def train(model, loader, optimizer, criterion, log):
    for x, y in loader:
        metrics = {}
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        metrics["loss"] = loss
        loss.backward()
        optimizer.step()
        log(metrics)
    return torch.empty(0)
