import torch
from torch.cuda.amp import GradScaler


def train(model, loader, optimizer, criterion):
    scaler = GradScaler(enabled=False)
    for x, y in loader:
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
