import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in the units of the scores


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
        # straight-through: the hard choice forward, the gradient of the gate backward
        soft_gate = torch.sigmoid((gate_prob - self.threshold) / GATE_TEMPERATURE)
        keep = keep + (soft_gate - soft_gate.detach())
        return x + keep * self.block(x)
