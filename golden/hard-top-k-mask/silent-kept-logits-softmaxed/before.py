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
        scores = self.router(x)
        kept, chosen = scores.topk(self.active, dim=-1)
        keep = scores >= kept[..., -1:]
        weights = scores.masked_fill(~keep, float("-inf")).softmax(dim=-1)
        return (outputs * weights.unsqueeze(-1)).sum(dim=-2), chosen
