import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.1)

    def forward(self, scores, value, bias):
        weights = scores.softmax(dim=-1)
        weights = weights * 0.5
        weights += bias
        return self.drop(weights) @ value
