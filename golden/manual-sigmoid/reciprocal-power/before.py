import torch


def f(x):
    return (1 + torch.exp(-x)) ** -1
