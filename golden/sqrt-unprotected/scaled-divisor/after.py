import torch
from torch import nn


class Scorer(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, x):
        x = x / (torch.mean(x**2, dim=1, keepdim=True).clamp_min(torch.finfo(x.dtype).eps) ** 0.5 * 20)
        return self.encoder(x)
