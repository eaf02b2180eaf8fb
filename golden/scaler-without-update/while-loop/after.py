import torch
from torch.cuda.amp import GradScaler


def train(model, batches, optimizer, steps):
    scaler = GradScaler()
    step = 0
    while step < steps:
        x, y = next(batches)
        optimizer.zero_grad()
        with torch.autocast("cuda"):
            loss = (model(x) - y).square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        step += 1
