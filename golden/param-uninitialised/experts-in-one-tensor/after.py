import torch
from torch import nn
from torch.nn import functional as F


class Experts(nn.Module):
    def __init__(self, num_experts: int, dim: int, hidden_dim: int):
        super().__init__()
        self.up = nn.Parameter(torch.empty(num_experts, dim, hidden_dim))
        nn.init.normal_(self.up, std=self.up.size(-2) ** -0.5)
        self.down = nn.Parameter(torch.empty((num_experts, hidden_dim, dim)))
        nn.init.normal_(self.down, std=self.down.size(-2) ** -0.5)

    def forward(self, x):
        """x: experts x tokens x dim."""
        return torch.bmm(F.silu(torch.bmm(x, self.up)), self.down)
