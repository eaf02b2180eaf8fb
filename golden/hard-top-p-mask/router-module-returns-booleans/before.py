import torch
from torch import nn


class HeadRouter(nn.Module):
    def __init__(self, dim, heads, p):
        super().__init__()
        self.linear = nn.Linear(dim, heads)
        self.p = p

    def forward(self, x):
        probs = torch.softmax(self.linear(x), dim=-1)
        sorted_probs, order = torch.sort(probs, descending=True, dim=-1)
        keep = sorted_probs.cumsum(-1).sub(sorted_probs).lt(self.p)
        return torch.zeros_like(keep).scatter(-1, order, keep)


class HeadMixture(nn.Module):
    def __init__(self, dim=32, heads=4):
        super().__init__()
        self.router = HeadRouter(dim, heads, 0.6)
        self.weight = nn.Parameter(torch.randn(heads, dim, dim) / dim**0.5)

    def forward(self, x):
        active = self.router(x)
        outputs = torch.einsum("btd,hdf->bthf", x, self.weight)
        return (outputs * active.unsqueeze(-1)).sum(dim=-2)
