import torch
import torch.nn.functional as F
from torch import nn


class RelationAttention(nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.out_channels = out_channels
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels))
        self.shift = nn.Parameter(torch.empty(1, out_channels))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.xavier_uniform_(self.weight)
        self.shift.data.fill_(1 / self.out_channels)

    def forward(self, x):
        return torch.sigmoid(F.linear(x, self.weight)) * self.shift
