import torch
import torch.nn.functional as F
from torch import nn


class Gated(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gate = nn.Linear(dim, dim)
        self.gate_norm = nn.LayerNorm(dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        gate = torch.sigmoid(self.gate_norm(self.gate(x)))
        return torch.tanh(self.norm(x)) * gate + F.relu(x)
