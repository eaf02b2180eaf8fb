import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, dim, init_method):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, dim))
        init_method(self.weight)

    def forward(self, x):
        return F.linear(x, self.weight)
