import torch


def f(x):
    kernel = torch.exp(-x.pow(2))
    return kernel / kernel.sum()
