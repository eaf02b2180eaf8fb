import torch
from torch import nn
from torch.nn import functional as F


class Codebook(nn.Module):
    def __init__(self, entries, dim):
        super().__init__()
        self.codes = nn.Parameter(torch.empty(entries, dim).uniform_(-1 / entries, 1 / entries))

    def forward(self, indices):
        return F.embedding(indices, self.codes)
