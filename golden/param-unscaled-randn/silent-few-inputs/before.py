import torch
from torch import nn
from torch.nn import functional as F


class Affine(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(3, 3))

    def forward(self, points):
        return points @ self.matrix
