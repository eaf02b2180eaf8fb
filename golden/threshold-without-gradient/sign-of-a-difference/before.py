import torch
from torch import nn


class Enhance(nn.Module):
    def __init__(self, start=0.02):
        super().__init__()
        self.learnable_thresh = nn.Parameter(torch.tensor(start))
        self.attention = nn.Conv2d(3, 3, 1)

    def forward(self, features, difference):
        mask = (torch.sign(difference - self.learnable_thresh) + 1) * 0.5
        return features + self.attention(features) * mask
