import torch
from apex_like import GradScaler


def train(model, loader, optimizer, criterion):
    scaler = GradScaler()
    for x, y in loader:
        loss = criterion(model(x), y)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
