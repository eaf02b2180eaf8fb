import torch
from torch import nn
from torch.nn import functional as F


class LowRank(nn.Module):
    """The product starts at 0; one factor is random so that the other receives a gradient."""

    def __init__(self, in_dim, out_dim, rank):
        super().__init__()
        self.left = nn.Parameter(torch.randn(out_dim, rank))
        self.right = nn.Parameter(torch.zeros(rank, in_dim))

    def forward(self, x):
        return F.linear(x, self.left @ self.right)
