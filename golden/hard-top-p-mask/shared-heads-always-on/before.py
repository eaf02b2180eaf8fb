import torch
import torch.nn.functional as F
from torch import nn


class SharedAndRoutedHeads(nn.Module):
    """The first `shared` heads are always on, the others are routed."""

    def __init__(self, dim=32, heads=8, shared=2, threshold=0.5):
        super().__init__()
        self.heads, self.shared, self.threshold = heads, shared, threshold
        self.router = nn.Linear(dim, heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        p = F.softmax(self.router(x), dim=-1)
        p_sorted, idx = torch.sort(p, dim=-1, descending=True)
        inside = (torch.cumsum(p_sorted, -1) - p_sorted) < self.threshold
        mask = torch.zeros_like(p)
        mask.scatter_(-1, idx, inside.to(p.dtype))
        mask[..., : self.shared] = 1.0
        self.active_heads = mask.sum(-1).mean().item()
        heads = self.proj(x).unflatten(-1, (self.heads, -1))
        return (heads * mask.unsqueeze(-1)).flatten(-2)
