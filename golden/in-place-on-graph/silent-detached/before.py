import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gate = nn.Linear(width, 4)

    def forward(self, x):
        seen = torch.sigmoid(self.gate(x).detach())
        seen *= 2
        return seen
