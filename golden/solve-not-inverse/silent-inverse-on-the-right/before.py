import torch


def f(a, b):
    return b @ torch.inverse(a)
