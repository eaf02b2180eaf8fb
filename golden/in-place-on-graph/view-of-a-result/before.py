import torch
from torch import nn


class Heads(nn.Module):
    def forward(self, x, batch, bias):
        heads = torch.tanh(x).view(batch, -1)
        heads += bias + 1.0
        return heads
