import torch
from torch import nn


class ElementwiseAffine(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x, reverse=False):
        log_scale = self.log_scale.clamp(min=-10.0, max=10.0)
        if reverse:
            return (x - self.shift) * torch.exp(-log_scale)
        y = self.shift + torch.exp(log_scale) * x
        log_det = torch.sum(log_scale * torch.ones_like(x), dim=-1)
        return y, log_det
