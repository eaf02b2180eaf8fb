import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.fc = nn.Linear(dim, dim)

    def forward(self, x):
        return x + F.gelu(self.fc(x))


class Model(nn.Module):
    def __init__(self, dim, depth):
        super().__init__()
        self.blocks = nn.ModuleList(Block(dim) for _ in range(depth))
        self.apply(self._weights)

    def _weights(self, part):
        if isinstance(part, nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x
