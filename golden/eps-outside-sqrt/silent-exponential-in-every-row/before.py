import torch
from torch import nn


class Triangular(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(dim, dim))
        self.register_buffer("diagonal", torch.eye(dim))
        self.register_buffer("below", torch.tril(torch.ones(dim, dim), -1))

    def forward(self, x):
        weight = torch.exp(self.weight) * self.diagonal + self.weight * self.below
        length = (weight**2).sum(-1, keepdim=True)
        return x @ (weight / (length.sqrt() + 1e-6)).t()
