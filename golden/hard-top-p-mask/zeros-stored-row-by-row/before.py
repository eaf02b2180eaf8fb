import torch
from torch import nn


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
        cumulative = ranked.cumsum(dim=-1)
        mask = torch.ones_like(probs)
        for token in range(x.size(0)):
            mask[token, order[token][cumulative[token] > self.limit]] = 0.0
        return (outputs * mask.unsqueeze(-1)).sum(dim=-2)
