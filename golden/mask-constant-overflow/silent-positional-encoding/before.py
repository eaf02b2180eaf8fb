import math

import torch


def encoding(length, dim, mask):
    position = torch.arange(length).unsqueeze(1)
    rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    return torch.sin(position * rate).masked_fill(mask, 0.0)
