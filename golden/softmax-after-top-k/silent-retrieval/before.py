import torch
from torch import nn


class MemoryLayer(nn.Module):
    """Product keys: the softmax of the nearest neighbours' scores."""

    def __init__(self, dim=16, slots=64, neighbours=8):
        super().__init__()
        self.neighbours = neighbours
        self.keys = nn.Parameter(torch.randn(slots, dim) * dim**-0.5)
        self.values = nn.Embedding(slots, dim)

    def forward(self, x):
        similarity = x @ self.keys.t()
        nearest, index = similarity.topk(self.neighbours, dim=-1)
        weights = torch.softmax(nearest, dim=-1)
        return (weights.unsqueeze(-1) * self.values(index)).sum(dim=-2)
