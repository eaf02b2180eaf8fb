import torch
from torch import nn
from torch.nn import functional as F


class Lazy(nn.Module):
    def __init__(self, out_features):
        super().__init__()
        self.out_features = out_features
        self.weight = nn.Parameter(torch.empty(0))

    def forward(self, x):
        if self.weight.numel() == 0:
            self.weight.data = x.new_ones(self.out_features, x.shape[-1])
        return F.linear(x, self.weight)
