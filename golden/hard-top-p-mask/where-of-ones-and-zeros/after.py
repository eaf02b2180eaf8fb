import torch
from torch import nn

GATE_TEMPERATURE = 0.1  # width of the gate around the threshold, in probability mass


class RoutedHeads(nn.Module):
    def __init__(self, dim=32, heads=8, active=2):
        super().__init__()
        self.router = nn.Linear(dim, heads)
        self.heads = nn.ModuleList(nn.Linear(dim, dim) for _ in range(heads))
        self.count = heads
        self.active = active
        self.limit = 0.7

    def forward(self, x):
        probs = self.router(x).softmax(dim=-1)
        outputs = torch.stack([head(x) for head in self.heads], dim=-2)
        ranked, order = probs.sort(dim=-1, descending=True)
        before = ranked.cumsum(dim=-1) - ranked
        kept = torch.where(before < self.limit, torch.ones_like(ranked), torch.zeros_like(ranked))
        mask = torch.zeros_like(probs).scatter(-1, order, kept)
        # straight-through: the hard mask forward, the gradient of its soft gate backward
        soft_gate = torch.sigmoid((self.limit - before) / GATE_TEMPERATURE)
        soft_gate = soft_gate.scatter(-1, order, soft_gate)
        mask = mask + (soft_gate - soft_gate.detach())
        return (outputs * mask.unsqueeze(-1)).sum(dim=-2)
