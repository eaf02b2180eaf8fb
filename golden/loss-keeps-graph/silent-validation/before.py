import torch


@torch.no_grad()
def evaluate(model, loader, criterion):
    total_loss = 0.0
    for x, y in loader:
        loss = criterion(model(x), y)
        total_loss += loss
    return total_loss / len(loader)  # backward( is named here, and not called
