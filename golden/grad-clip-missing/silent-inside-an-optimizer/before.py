import torch


class Lookahead(torch.optim.Optimizer):
    def __init__(self, optimizer, k=5):
        self.optimizer, self.k, self.count = optimizer, k, 0

    def train_and_step(self, losses):
        for loss in losses:
            loss.backward()
            self.optimizer.step()
