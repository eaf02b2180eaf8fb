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
        grouped = probs.view(x.size(0), 2, -1)
        best = grouped.amax(dim=-1).topk(1, dim=-1).indices
        groups = torch.zeros(x.size(0), 2)
        groups[torch.arange(x.size(0)).unsqueeze(1), best] = 1.0
        allowed = (probs * groups.repeat_interleave(self.count // 2, dim=1)).topk(self.active, dim=-1)
        picked = outputs.gather(-2, allowed.indices.unsqueeze(-1).expand(-1, -1, x.size(-1)))
        return (picked * allowed.values.unsqueeze(-1)).sum(dim=-2)
