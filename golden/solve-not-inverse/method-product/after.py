import torch


def f(a, b):
    return torch.linalg.solve(a, b)
