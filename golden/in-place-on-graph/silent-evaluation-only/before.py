import torch
from torch import nn


class Detect(nn.Module):
    def forward(self, x, grid, stride):
        if not self.training:
            y = x.sigmoid()
            y[..., 0:2] = (y[..., 0:2] * 2 - 0.5 + grid) * stride
            return y
        return x
