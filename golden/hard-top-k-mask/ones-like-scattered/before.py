import torch
from torch import nn


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
        kept, chosen = probs.topk(self.active, dim=-1)
        mask = torch.zeros_like(probs).scatter(-1, chosen, torch.ones_like(kept))
        return (outputs * mask.unsqueeze(-1)).sum(dim=-2)
