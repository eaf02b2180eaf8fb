import torch
from torch import nn


class SkippingBlock(nn.Module):
    """A gate decides for each token whether the block runs."""

    def __init__(self, dim=32, threshold=0.5):
        super().__init__()
        self.threshold = threshold
        self.gate = nn.Linear(dim, 1)
        self.block = nn.Sequential(nn.Linear(dim, dim), nn.GELU())

    def forward(self, x):
        gate_prob = torch.sigmoid(self.gate(x))
        keep = (gate_prob > self.threshold).float()
        return x + keep * self.block(x)
