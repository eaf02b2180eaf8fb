import torch
from torch.cuda.amp import GradScaler, autocast
from torch_optimizer import DiffGrad


class Painter:
    def __init__(self, model, optimizer, lr):
        self.model = model
        self.scaler = GradScaler()
        weights = model.net.parameters()
        if optimizer == "Adam":
            self.optimizer = torch.optim.Adam(weights, lr)
        elif optimizer == "DiffGrad":
            self.optimizer = DiffGrad(weights, lr)

    def train_step(self, prompts):
        for prompt in prompts:
            with autocast():
                loss = self.model(prompt) / len(prompts)
            self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
