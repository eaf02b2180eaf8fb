import torch
from torch import nn


class SparseFeatures(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.threshold = nn.Parameter(torch.tensor(0.1))

    def forward(self, x):
        hidden = self.proj(x)
        mask = (hidden.abs() > self.threshold).float()
        return hidden * mask
