import torch


def normalise(x):
    length = x.pow(2).sum(-1, keepdim=True).clamp(min=1e-06).sqrt()
    return x / length
