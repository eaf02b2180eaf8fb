import torch
from torch import nn


class RoutedHeads(nn.Module):
    def __init__(self, dim=32, heads=8, adaptive=True):
        super().__init__()
        self.adaptive = adaptive
        self.router = nn.Linear(dim, heads)

    def forward(self, x, heads):
        probs = self.router(x).softmax(dim=-1)
        ranked, order = probs.sort(dim=-1, descending=True)
        if self.adaptive:
            keep = ranked.cumsum(dim=-1) - ranked < 0.7
        else:
            keep = ranked > 0.1
        gate = probs * torch.zeros_like(keep).scatter(-1, order, keep)
        return (heads * gate.unsqueeze(-1)).sum(dim=-2)
