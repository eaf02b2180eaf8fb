import torch
from torch import nn


def field_of_view(focal, skew, width):
    ratio = (skew / torch.sqrt(1.0 + (2.0 * focal / width) ** 2)).clamp(-1.0, 1.0)
    return torch.asin(ratio) + torch.atan(width / (2.0 * focal))


class Rays(nn.Module):
    def __init__(self):
        super().__init__()
        self.focal = nn.Parameter(torch.ones(4))
        self.skew = nn.Parameter(torch.zeros(4))

    def forward(self, width):
        straight = field_of_view(self.focal, torch.zeros(4), width)
        return straight, field_of_view(self.focal, self.skew, width)
