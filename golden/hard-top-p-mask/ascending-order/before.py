import torch
from torch import nn


class TailDroppingRouter(nn.Module):
    """Sorts upwards and drops the heads that together hold less than 1 - p."""

    def __init__(self, dim=32, heads=6, p=0.7):
        super().__init__()
        self.p = p
        self.router = nn.Linear(dim, heads)
        self.weight = nn.Parameter(torch.randn(heads, dim, dim) / dim**0.5)

    def forward(self, x):
        probs = self.router(x).softmax(-1)
        ascending, order = torch.sort(probs, dim=-1, descending=False)
        cumulative = ascending.cumsum(dim=-1)
        remove = cumulative <= (1 - self.p)
        remove = remove.scatter(-1, order, remove)
        outputs = torch.einsum("btd,hdf->bthf", x, self.weight)
        outputs = outputs.masked_fill(remove.unsqueeze(-1), 0.0)
        return outputs.sum(dim=-2)
