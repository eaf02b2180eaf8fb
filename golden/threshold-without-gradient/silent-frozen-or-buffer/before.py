import torch
from torch import nn


class Fixed(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.threshold = nn.Parameter(torch.tensor(0.5), requires_grad=False)
        self.register_buffer("cutoff", torch.tensor(0.1))
        self.top_p = 0.9

    def forward(self, x):
        hidden = self.proj(x)
        return hidden * ((hidden > self.threshold) & (hidden.abs() > self.cutoff)).float()


class Optional(nn.Module):
    def __init__(self, dim, learn=False):
        super().__init__()
        self.proj = nn.Linear(dim, dim)
        self.threshold = nn.Parameter(torch.tensor(0.5), requires_grad=learn)

    def forward(self, x):
        hidden = self.proj(x)
        return hidden * (hidden > self.threshold).float()
