import torch


def length(x):
    return x.pow(2).sum(dim=1, keepdim=True).sqrt()
