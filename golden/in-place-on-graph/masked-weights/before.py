import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(self, x, padding):
        gate = torch.sigmoid(self.score(x)).squeeze(-1)
        gate.masked_fill_(padding, 0.0)
        return (x * gate.unsqueeze(-1)).sum(1)
