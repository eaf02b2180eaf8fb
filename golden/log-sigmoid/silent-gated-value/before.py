import torch


def f(x, v):
    return torch.log(1 + torch.sigmoid(x) * v.abs())
