import torch
from torch import nn
from torch.nn import functional as F


class CosineHead(nn.Module):
    def __init__(self, dim, classes):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, dim))

    def forward(self, x):
        return F.linear(F.normalize(x), F.normalize(self.weight))
