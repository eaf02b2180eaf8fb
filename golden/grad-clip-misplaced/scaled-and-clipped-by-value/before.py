import torch
from torch.cuda.amp import GradScaler, autocast


class Trainer:
    def __init__(self, model, args):
        self.model = model
        self.args = args
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=args.lr)
        self.scaler = GradScaler()

    def train(self, loader):
        for i, (x, y) in enumerate(loader):
            with autocast():
                loss = torch.nn.functional.l1_loss(self.model(x), y) / self.args.accumulation_steps
            self.scaler.scale(loss).backward()
            if (i + 1) % self.args.accumulation_steps == 0:
                torch.nn.utils.clip_grad_value_(self.model.parameters(), 0.1)
                self.scaler.step(self.optimizer)
                self.scaler.update()
                self.optimizer.zero_grad()
