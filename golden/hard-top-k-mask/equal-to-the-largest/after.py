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
        mask = (probs == probs.amax(dim=-1, keepdim=True)).to(outputs.dtype)
        # straight-through: the hard choice forward, the gradient of the probabilities backward
        mask = mask + (probs - probs.detach()).to(mask.dtype)
        return (outputs * mask.unsqueeze(-1)).sum(dim=-2)
