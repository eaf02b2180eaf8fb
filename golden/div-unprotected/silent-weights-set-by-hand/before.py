import torch
from torch import nn


def normed_linear(inputs, outputs, scale=1.0):
    layer = nn.Linear(inputs, outputs)
    layer.weight.data *= scale / layer.weight.norm(dim=1, keepdim=True)
    return layer
