import torch
from torch import nn
from torch.nn import functional as F


class Mixer(nn.Module):
    def __init__(self, tokens, dim):
        super().__init__()
        self.register_parameter("mixing", nn.Parameter(torch.empty(tokens, tokens, requires_grad=True)))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x):
        return x + torch.matmul(self.mixing, self.norm(x))
