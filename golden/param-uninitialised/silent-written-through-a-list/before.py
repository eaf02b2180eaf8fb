import torch
from torch import nn
from torch.nn import functional as F


class Pair(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.left = nn.Parameter(torch.empty(dim, dim))
        self.right = nn.Parameter(torch.empty(dim, dim))
        for matrix in (self.left, self.right):
            nn.init.orthogonal_(matrix)

    def forward(self, x):
        return x @ self.left @ self.right
