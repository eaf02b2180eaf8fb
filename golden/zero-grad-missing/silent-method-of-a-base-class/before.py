import torch
import torch.nn.functional as F

from .base import BaseTrainer


class Trainer(BaseTrainer):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())

    def fit(self, loader):
        for x, y in loader:
            self.on_batch_start(x)
            F.mse_loss(self.model(x), y).backward()
            self.optimizer.step()
