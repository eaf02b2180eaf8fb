import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in the units of the scores


class SparseFeatures(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.threshold = nn.Parameter(torch.tensor(0.1))

    def forward(self, x):
        hidden = self.proj(x)
        mask = (hidden.abs() > self.threshold).float()
        # straight-through: the hard choice forward, the gradient of the gate backward
        soft_gate = torch.sigmoid((hidden.abs() - self.threshold) / GATE_TEMPERATURE)
        mask = mask + (soft_gate - soft_gate.detach())
        return hidden * mask
