import torch


def f(x):
    return 1 / (2 + torch.exp(-x))
