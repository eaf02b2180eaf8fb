import torch
from torch import nn


class LocalAttention(nn.Module):
    """Attention with a learned temperature that keeps tokens from attending to themselves."""

    def __init__(self, dim):
        super().__init__()
        self.to_qkv = nn.Linear(dim, dim * 3)
        self.temperature = nn.Parameter(torch.log(torch.tensor(dim**-0.5)))

    def forward(self, x):
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        dots = q @ k.transpose(-1, -2) * self.temperature.exp()
        return dots.softmax(dim=-1) @ v
