import torch
import torch.nn.functional as F
from torch import nn


class MixtureOfHeads(nn.Module):
    """Each token uses as many heads as it takes to cover `top_p` of its routing probability."""

    def __init__(self, dim=32, heads=8, top_p=0.7):
        super().__init__()
        self.heads, self.top_p = heads, top_p
        self.value = nn.Linear(dim, dim)
        self.router = nn.Linear(dim, heads)
        self.out = nn.Linear(dim, dim)

    def forward(self, x):
        batch, length, dim = x.shape
        heads = self.value(x).view(batch, length, self.heads, -1)

        probs = F.softmax(self.router(x), dim=-1)
        sorted_probs, order = torch.sort(probs, dim=-1, descending=True)
        mass_before = torch.cumsum(sorted_probs, dim=-1) - sorted_probs
        keep = mass_before < self.top_p
        mask = torch.zeros_like(keep).scatter(-1, order, keep)

        heads = heads * mask.unsqueeze(-1)
        return self.out(heads.reshape(batch, length, dim))
