import torch


def f(x):
    positive = x > 0
    return torch.where(positive, torch.log(torch.where(positive, x, 1.0)), 0.0)
