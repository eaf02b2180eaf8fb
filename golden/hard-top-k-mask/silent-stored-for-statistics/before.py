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
        weights, chosen = probs.topk(self.active, dim=-1)
        load = torch.zeros_like(probs)
        load[torch.arange(x.size(0)).unsqueeze(1), chosen] = 1.0
        used = torch.zeros(self.count)
        used[chosen[0]] = 1.0
        aux = self.count * (load.mean(dim=0) * probs.mean(dim=0)).sum()
        picked = outputs.gather(-2, chosen.unsqueeze(-1).expand(-1, -1, x.size(-1)))
        return (picked * weights.unsqueeze(-1)).sum(dim=-2), aux, used
