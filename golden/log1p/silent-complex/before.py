import torch


def f(x):
    return torch.log(1 + 1j * x)
