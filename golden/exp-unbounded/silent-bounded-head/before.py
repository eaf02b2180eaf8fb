import torch
from torch import nn


class Head(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.log_std = nn.Sequential(nn.Linear(width, out), nn.Hardtanh(-5.0, 2.0))
        self.gate = nn.Sequential(nn.Linear(width, out), nn.Tanh())

    def forward(self, h):
        log_std = self.log_std(h)
        log_scale = self.gate(h) * 2.0
        return log_std.exp(), log_scale.exp()
