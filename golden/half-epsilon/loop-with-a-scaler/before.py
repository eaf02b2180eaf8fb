import torch
from torch.cuda.amp import GradScaler, autocast


def contrast(features):
    centred = features - features.mean(dim=1, keepdim=True)
    spread = centred.abs().mean(dim=1, keepdim=True)
    return (centred / (spread + 1e-8)).abs().max()


def train(model, loader, optimizer):
    scaler = GradScaler()
    for images in loader:
        optimizer.zero_grad()
        with autocast():
            loss = contrast(model(images))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
