import torch
from torch import nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, dim))

    def forward(self, x):
        return torch.matmul(x, self.weight)
