import torch
from torch import nn


class GatedExperts(nn.Module):
    """The sigmoid is an activation: its precision is the activations' own."""

    def __init__(self, dim=16, hidden=32, score_in_float=True):
        super().__init__()
        self.score_in_float = score_in_float
        self.up, self.gate_up = nn.Linear(dim, hidden), nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, dim)

    def forward(self, x):
        gated = self.gate_up(x)
        if self.score_in_float:
            attention = torch.softmax(x, dim=-1, dtype=torch.float32)
        else:
            attention = torch.softmax(x, dim=-1)
        return self.down(gated * torch.sigmoid(gated) * self.up(attention.to(x.dtype)))
