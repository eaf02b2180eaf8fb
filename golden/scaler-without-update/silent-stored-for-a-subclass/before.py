import torch
from torch.cuda.amp import GradScaler


class Base:
    def __init__(self, optimizer):
        self.optimizer = optimizer
        scaler = GradScaler()
        self.plugins = [scaler]
        self.scaler = scaler

    def turn(self, losses):
        for loss in losses:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
