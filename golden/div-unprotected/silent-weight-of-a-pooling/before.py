import torch
from torch import nn


class TopKPooling(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, channels))
        nn.init.uniform_(self.weight)

    def forward(self, x):
        score = (x * self.weight).sum(dim=-1)
        return torch.tanh(score / self.weight.norm(p=2, dim=-1))
