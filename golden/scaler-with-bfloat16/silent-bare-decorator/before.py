import torch
from torch.amp import GradScaler, autocast


class Trainer:
    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer
        self.scaler = GradScaler(init_scale=2.0**14)

    @autocast
    def loss(self, x):
        return self.model(x).square().mean()

    bf16 = torch.bfloat16

    def step(self, x):
        self.scaler.scale(self.loss(x)).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
