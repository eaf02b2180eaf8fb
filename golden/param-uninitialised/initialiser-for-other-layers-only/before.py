import torch
from torch import nn
from torch.nn import functional as F


class Gate(nn.Module):
    def __init__(self, dim: int, num_experts: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty((num_experts, dim)))

    def forward(self, x):
        return F.softmax(F.linear(x, self.weight), dim=-1)


class Block(nn.Module):
    def __init__(self, dim: int, num_experts: int):
        super().__init__()
        self.gate = Gate(dim, num_experts)
        self.out = nn.Linear(dim, dim)
        self.apply(self._init_layer)

    @staticmethod
    def _init_layer(module):
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)

    def forward(self, x):
        return self.out(x) * self.gate(x).amax(-1, keepdim=True)
