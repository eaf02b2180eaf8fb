import torch
import torch.nn.functional as F
from torch import nn


class GatedFeedForward(nn.Module):
    """A gated linear unit: its gate is no router, and the list holds layers in a row."""

    def __init__(self, dim, depth):
        super().__init__()
        self.gate_proj = nn.Linear(dim, 4 * dim)
        self.experts_in_a_row = nn.ModuleList([nn.Linear(4 * dim, 4 * dim) for _ in range(depth)])
        self.down = nn.Linear(4 * dim, dim)

    def forward(self, x):
        h = F.silu(self.gate_proj(x))
        for layer in self.experts_in_a_row:
            h = layer(h)
        top = h.topk(2, dim=-1).values
        return self.down(h) + top.mean()
