import torch
import torch.nn.functional as F
from torch import nn


class BoundedHeads(nn.Module):
    """At least `min_heads` and at most `max_heads` for each token."""

    def __init__(self, dim=32, heads=8, min_heads=1, max_heads=4, threshold=0.8):
        super().__init__()
        self.heads, self.threshold = heads, threshold
        self.min_heads, self.max_heads = min_heads, max_heads
        self.router = nn.Linear(dim, heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        probs = F.softmax(self.router(x), dim=-1)
        ranked, order = torch.sort(probs, dim=-1, descending=True)
        keep = (ranked.cumsum(dim=-1) - ranked) < self.threshold
        keep[..., : self.min_heads] = True
        keep[..., self.max_heads :] = False
        mask = torch.zeros_like(probs).scatter(-1, order, keep.float())
        heads = self.proj(x).unflatten(-1, (self.heads, -1))
        return (heads * mask.unsqueeze(-1)).flatten(-2)
