import torch
from torch import nn
from torch.nn import functional as F


class Encoder(nn.Module):
    def __init__(self, dim, length):
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(length, dim))
        self.cls_token = nn.Parameter(torch.randn(1, dim))

    def forward(self, x):
        return torch.cat([self.cls_token, x]) + self.pos_embedding
