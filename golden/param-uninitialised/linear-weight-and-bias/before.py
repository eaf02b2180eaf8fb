import torch
from torch import nn
from torch.nn import functional as F


class Projection(nn.Module):
    """Projects features; weights are stored as torch.nn.Linear stores them."""

    def __init__(self, in_features, out_features, bias=True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        if bias:
            self.bias = nn.Parameter(torch.empty(out_features))
        else:
            self.register_parameter("bias", None)

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)
