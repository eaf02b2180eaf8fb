import torch


def f(a, b, c):
    inv = torch.inverse(a)
    return inv @ b, inv @ c
