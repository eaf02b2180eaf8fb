import torch


def train(model, loader, optimizer, criterion, log):
    for x, y in loader:
        optimizer.zero_grad()
        criterion(model(x), y).backward()
        optimizer.step()
        log("grad_norm", torch.nn.utils.clip_grad_norm_(model.parameters(), float("inf")))
