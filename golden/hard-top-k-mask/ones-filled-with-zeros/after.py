import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in the units of the scores


class RoutedHeads(nn.Module):
    def __init__(self, dim, heads, active=2):
        super().__init__()
        self.router = nn.Linear(dim, heads)
        self.heads = nn.ModuleList(nn.Linear(dim, dim) for _ in range(heads))
        self.count = heads
        self.active = active
        self.limit = 0.7

    def forward(self, x):
        probs = self.router(x).softmax(dim=-1)
        outputs = torch.stack([head(x) for head in self.heads], dim=-2)
        mask = torch.ones_like(probs).masked_fill(probs < 0.2, 0.0)
        # straight-through: the hard choice forward, the gradient of the gate backward
        soft_gate = torch.sigmoid((probs - 0.2) / GATE_TEMPERATURE)
        mask = mask + (soft_gate - soft_gate.detach())
        return (outputs * mask.unsqueeze(-1)).sum(dim=-2)
