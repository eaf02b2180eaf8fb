import torch


def f(x):
    return torch.sqrt(torch.sum(torch.abs(x) ** 2, dim=0))
