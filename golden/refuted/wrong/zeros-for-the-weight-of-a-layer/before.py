import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.scale = nn.Parameter(torch.ones(out_features))

    def forward(self, x):
        return self.scale * nn.functional.linear(x, self.weight)
