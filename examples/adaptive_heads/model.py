"""A mixture of heads that is to use as many heads for each reading as the reading needs."""

import torch
import torch.nn.functional as F
from torch import nn


class AdaptiveHeads(nn.Module):
    """Every head transforms its input in its own way; the router says which of them take part.

    A head stays on while the routing probability of the heads before it lies below a threshold that is predicted as
    well: an easy reading is to take one head, a hard one several.
    """

    def __init__(self, observed, dim, heads, width, all_heads=False):
        super().__init__()
        self.all_heads = all_heads
        self.router = nn.Linear(observed, heads)
        self.threshold = nn.Linear(observed, 1)
        self.up = nn.Parameter(torch.randn(heads, dim, width) / dim**0.5)
        self.down = nn.Parameter(torch.randn(heads, width, dim) / (heads * width) ** 0.5)

    def route(self, reading):
        """1 for the heads that a reading uses, 0 for the others: (batch, heads)."""
        probs = F.softmax(self.router(reading), dim=-1)
        if self.all_heads:
            return torch.ones_like(probs)
        threshold = torch.sigmoid(self.threshold(reading))
        ranked, order = torch.sort(probs, dim=-1, descending=True)
        mass_before = torch.cumsum(ranked, dim=-1) - ranked
        keep = mass_before < threshold
        return torch.zeros_like(probs).scatter(-1, order, keep.float())

    def forward(self, x, reading):
        mask = self.route(reading)
        hidden = torch.relu(torch.einsum("bd,hdw->bhw", x, self.up))
        outputs = torch.einsum("bhw,hwd->bhd", hidden, self.down)
        return (outputs * mask.unsqueeze(-1)).sum(dim=1)


class Model(nn.Module):
    def __init__(self, observed, targets, dim=32, heads=8, width=16, all_heads=False):
        super().__init__()
        self.embed = nn.Linear(observed, dim)
        self.norm = nn.LayerNorm(dim)
        self.heads = AdaptiveHeads(observed, dim, heads, width, all_heads)
        self.readout = nn.Linear(dim, targets)

    def forward(self, reading):
        x = self.norm(self.embed(reading))
        return self.readout(self.heads(x, reading))
