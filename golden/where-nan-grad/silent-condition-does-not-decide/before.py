import torch


def f(x):
    return torch.where(x > -1, torch.log(x), 0.0)
