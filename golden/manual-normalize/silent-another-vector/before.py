import torch


def f(x, y):
    return x / y.norm(dim=-1, keepdim=True)
