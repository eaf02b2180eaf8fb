import torch
from torch import nn


class Pruned(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, dim) * dim**-0.5)
        self.threshold = nn.Parameter(torch.full((dim, 1), 0.01))

    def forward(self, x):
        mask = (self.weight.abs() > self.threshold).float()
        return x @ (self.weight * mask).t()


def penalty(model):
    return sum(torch.exp(-m.threshold).sum() for m in model.modules() if isinstance(m, Pruned))


class Named(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.cutoff = nn.Parameter(torch.tensor(0.1))
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        h = self.proj(x)
        return h * (h > self.cutoff).float()


def cost(model):
    return sum(-p.log() for name, p in model.named_parameters() if name.endswith("cutoff"))
