import torch
from torch import nn
from torch.nn import functional as F


class EqualLinear(nn.Module):
    def __init__(self, in_dim, out_dim, lr_mul=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_dim, in_dim))
        self.scale = in_dim**-0.5 * lr_mul

    def forward(self, x):
        return F.linear(x, self.weight * self.scale)
