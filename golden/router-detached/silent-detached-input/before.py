import torch
from torch import nn


class Router(nn.Module):
    """The router learns; what lies before it does not hear of it."""

    def __init__(self, dim=32, experts=4):
        super().__init__()
        self.gate = nn.Linear(dim, experts)

    def forward(self, x, outputs):
        weights = torch.softmax(self.gate(x.detach()), dim=-1)
        return (outputs * weights.unsqueeze(-1)).sum(dim=-2)
