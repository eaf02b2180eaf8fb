import torch
import torch.nn.functional as F


class Learner:
    def __init__(self, model):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters())

    def before_batch(self):
        self.model.train()
        self.optimizer.zero_grad()

    def fit(self, loader):
        for x, y in loader:
            self.before_batch()
            F.mse_loss(self.model(x), y).backward()
            self.optimizer.step()
