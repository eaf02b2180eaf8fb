import torch


def f(x, y):
    return torch.sqrt((x * y).sum(-1))
