import torch
from torch import nn
from torch.nn import functional as F


class Router(nn.Module):
    def __init__(self, dim, num_experts):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_experts, dim))

    def forward(self, x):
        return F.linear(x, self.weight)


def init_weights(module):
    if isinstance(module, (nn.Linear, Router)):
        module.weight.data.normal_(0.0, 0.02)
