import torch
from torch import nn
from torch.nn import functional as F

from .layers import InitialisedModule


class Projection(InitialisedModule):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))

    def forward(self, x):
        return F.linear(x, self.weight)
