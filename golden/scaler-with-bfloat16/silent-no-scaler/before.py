import torch


def train(model, loader, optimizer, criterion):
    """No GradScaler() is needed in bfloat16."""
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
