import torch


def f(x):
    return torch.log(1 + torch.exp(1j * x))
