import torch
from torch.cuda.amp import GradScaler, autocast


def run_epoch(model, loader, optimizer, criterion, scaler):
    for x, y in loader:
        optimizer.zero_grad()
        with autocast():
            loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)


def main(model, loader, optimizer, criterion):
    scaler = GradScaler()
    for _ in range(10):
        run_epoch(model, loader, optimizer, criterion, scaler)
