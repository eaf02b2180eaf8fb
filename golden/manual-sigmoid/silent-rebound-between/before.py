import torch


def f(x, scale):
    e = torch.exp(-x)
    e = e * scale
    return 1 / (1 + e)
