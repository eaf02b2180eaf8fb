import torch


def combine(x, y):
    return torch.sqrt(x.pow(2).mean(-1)) + y
