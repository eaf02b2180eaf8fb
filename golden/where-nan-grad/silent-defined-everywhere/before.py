import torch


def f(x):
    return torch.where(x > 0, torch.tanh(x), x * 0.1)
