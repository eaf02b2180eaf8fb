import torch
from torch import nn


class Homeostatic(nn.Module):
    def __init__(self, dim, target=0.1):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.target = target
        self.threshold = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        hidden = self.proj(x)
        active = (hidden > self.threshold).float()
        if self.training:
            self.threshold.data += 0.01 * (active.mean(dim=0) - self.target)
        return hidden * active
