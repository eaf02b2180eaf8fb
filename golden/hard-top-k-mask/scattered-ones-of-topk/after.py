import torch
from torch import nn


class RoutedHeads(nn.Module):
    """The best heads of each token are switched on, the first one always."""

    def __init__(self, dim=32, heads=8, top_k=3):
        super().__init__()
        self.heads, self.top_k = heads, top_k
        self.router = nn.Linear(dim, heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        scores = self.router(x).softmax(dim=-1)
        _, indices = scores.topk(self.top_k, dim=-1)
        head_mask = torch.zeros_like(scores).scatter(-1, indices, 1.0)
        head_mask[..., 0] = 1.0
        # straight-through: the hard choice forward, the gradient of the probabilities backward
        head_mask = head_mask + (scores - scores.detach())
        heads = self.proj(x).unflatten(-1, (self.heads, -1))
        return (heads * head_mask.unsqueeze(-1)).flatten(-2)
