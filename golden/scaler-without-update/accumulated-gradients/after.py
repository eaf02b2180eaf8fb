import torch
from torch.cuda.amp import GradScaler, autocast

scaler = GradScaler(init_scale=1024.0)


def train(model, loader, optimizer, criterion, every=4):
    for i, (x, y) in enumerate(loader):
        with autocast():
            loss = criterion(model(x), y) / every
        scaler.scale(loss).backward()
        if (i + 1) % every == 0:
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
