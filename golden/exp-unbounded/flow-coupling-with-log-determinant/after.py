import torch
from torch import nn


class Coupling(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, 2 * dim))

    def forward(self, x):
        a, b = x.chunk(2, dim=-1)
        log_s, shift = self.net(a).chunk(2, dim=-1)
        log_s = log_s.clamp(min=-10.0, max=10.0)
        y = b * torch.exp(log_s) + shift
        return torch.cat([a, y], dim=-1), log_s.sum(dim=-1)
