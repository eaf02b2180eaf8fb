import torch
from torch import nn


class AdaptiveGate(nn.Module):
    def __init__(self, dim=32, heads=8, p=0.7):
        super().__init__()
        self.p = p
        self.router = nn.Linear(dim, heads)

    def forward(self, x, heads):
        probs = self.router(x).softmax(dim=-1)
        ranked, order = probs.sort(dim=-1, descending=True)
        before = ranked.cumsum(dim=-1) - ranked
        if self.training:
            gate = torch.sigmoid((self.p - before) / 0.1)
        else:
            gate = (before < self.p).to(probs.dtype)
        gate = torch.zeros_like(probs).scatter(-1, order, gate)
        return (heads * gate.unsqueeze(-1)).sum(dim=-2)
