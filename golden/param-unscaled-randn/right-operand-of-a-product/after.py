import torch
from torch import nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, hidden) / dim**0.5)
        self.bias = nn.Parameter(torch.zeros(hidden))

    def forward(self, x):
        return F.gelu(x @ self.weight + self.bias)
