import torch
from torch.cuda.amp import GradScaler, autocast
from torch.nn.functional import mse_loss as nn_loss


def once(model, x, y, optimizer):
    scaler = GradScaler()
    with autocast():
        loss = nn_loss(model(x), y)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
