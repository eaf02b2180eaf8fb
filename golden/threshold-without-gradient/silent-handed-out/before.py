import torch
from torch import nn


class Halting(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.halt = nn.Linear(dim, 1)

    def forward(self, x):
        prob = torch.sigmoid(self.halt(x))
        return prob, prob > 0.5


class Adaptive(nn.Module):
    def __init__(self, dim, steps):
        super().__init__()
        self.halting = Halting(dim)
        self.step = nn.Linear(dim, dim)
        self.steps = steps

    def forward(self, x):
        cost = 0.0
        for _ in range(self.steps):
            prob, stops = self.halting(x)
            x = torch.where(stops, x, x + self.step(x))
            cost = cost + prob.mean()
        return x, cost
