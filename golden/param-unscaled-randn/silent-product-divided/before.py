import torch
from torch import nn
from torch.nn import functional as F


class Score(nn.Module):
    def __init__(self, dim, out):
        super().__init__()
        self.dim = dim
        self.weight = nn.Parameter(torch.randn(dim, out))

    def forward(self, x):
        return (x @ self.weight) / self.dim**0.5
