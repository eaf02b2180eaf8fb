import torch
from torch import nn


class MixtureOfHeads(nn.Module):
    def __init__(self, dim=32, heads=8, top_k=2):
        super().__init__()
        self.heads, self.top_k = heads, top_k
        self.router = nn.Linear(dim, heads)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x):
        probs = torch.softmax(self.router(x), dim=-1)
        indices = torch.topk(probs, self.top_k, dim=-1).indices
        mask = torch.zeros_like(probs)
        mask.scatter_(-1, indices, 1.0)  # ones where a head is used
        # straight-through: the hard choice forward, the gradient of the probabilities backward
        mask = mask + (probs - probs.detach())
        heads = self.proj(x).unflatten(-1, (self.heads, -1))
        return torch.einsum("bth,bthd->bthd", mask, heads).flatten(-2)
