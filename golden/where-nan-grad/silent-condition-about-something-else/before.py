import torch


def f(a, b, flag):
    return torch.where(flag, a / b, a)
