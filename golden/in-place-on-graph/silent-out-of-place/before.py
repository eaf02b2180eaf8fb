import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x):
        hidden = torch.relu(self.inner(x))
        hidden = hidden + x
        return hidden
