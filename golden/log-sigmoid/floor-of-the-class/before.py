import torch
from torch import nn


class Asymmetric(nn.Module):
    def __init__(self, eps=1e-8):
        super().__init__()
        self.eps = eps

    def forward(self, x, y):
        return -(y * torch.log(torch.sigmoid(x).clamp(min=self.eps))).sum()
