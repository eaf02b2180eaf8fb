import torch
import torch.nn.functional as F
from torch import nn


class TopPMoE(nn.Module):
    """Outputs are weighted by the probabilities that were kept, so the router does learn."""

    def __init__(self, dim=32, experts=4, p=0.6):
        super().__init__()
        self.p = p
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(nn.Linear(dim, dim) for _ in range(experts))

    def forward(self, x):
        probs = F.softmax(self.gate(x), dim=-1)
        top, index = probs.sort(dim=-1, descending=True)
        keep = top.cumsum(dim=-1) - top < self.p
        weights = torch.zeros_like(probs).scatter(-1, index, top * keep)
        weights = weights / weights.sum(dim=-1, keepdim=True)
        outputs = torch.stack([e(x) for e in self.experts], dim=-2)
        return (outputs * weights.unsqueeze(-1)).sum(dim=-2)
