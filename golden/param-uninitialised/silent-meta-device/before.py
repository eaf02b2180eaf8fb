import torch
from torch import nn
from torch.nn import functional as F


class Skeleton(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dim, device="meta"))

    def forward(self, x):
        return F.linear(x, self.weight)
