import torch


def f(x):
    return torch.log(1 + (x.abs() + 1))
