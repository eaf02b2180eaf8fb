import torch
import torch.nn.functional as F
from torch import nn


class LoraMixture(nn.Module):
    """A mixture of low-rank adapters, as many as the routing needs."""

    def __init__(self, dim=32, rank=2, adapters=5, top_p=0.7):
        super().__init__()
        self.top_p = top_p
        self.router = nn.Linear(dim, adapters)
        self.down = nn.Parameter(torch.randn(adapters, dim, rank) / dim**0.5)
        self.up = nn.Parameter(torch.randn(adapters, rank, dim) / rank**0.5)

    def forward(self, x):
        logits = self.router(x)
        sorted_logits, order = torch.sort(logits, dim=-1, descending=True)
        cumulative_probs = torch.cumsum(F.softmax(sorted_logits, dim=-1), dim=-1)
        drop = cumulative_probs > self.top_p
        drop[..., 1:] = drop[..., :-1].clone()
        drop[..., 0] = False
        gate = torch.zeros_like(drop).scatter(-1, order, ~drop)
        delta = torch.einsum("btd,adr,are->btae", x, self.down, self.up)
        return x + (delta * gate[..., None]).sum(dim=-2)
