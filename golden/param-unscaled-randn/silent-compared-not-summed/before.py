import torch
from torch import nn
from torch.nn import functional as F


class Codebook(nn.Module):
    def __init__(self, entries, dim):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(entries, dim))

    def forward(self, x):
        return torch.cdist(x, self.codebook).argmin(-1)
