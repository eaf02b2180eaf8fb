import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.log_scale = nn.Linear(width, width)

    def forward(self, x, noise):
        raw = self.log_scale(x).clamp(-10.0, 5.0)
        scale = torch.exp(raw)
        scale = scale.clamp(min=1e-4)
        return noise * scale
