import torch


def f(x):
    return torch.exp(1j * x) - 1
