import math

import torch
from torch import nn


class Bilinear(nn.Module):
    def __init__(self, left_dim, right_dim):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(left_dim, right_dim))
        self.offset = nn.Parameter(torch.empty(left_dim, right_dim))
        self.reset_parameters()

    def reset_parameters(self):
        bound = 1 / math.sqrt(self.weight.size(0))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, left, right):
        return torch.einsum("bi,ij,bj->b", left, self.weight + self.offset, right)
