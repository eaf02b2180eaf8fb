import torch


def normalise(x):
    length = x.pow(2).sum(-1, keepdim=True).sqrt().clamp(min=1e-3)
    return x / length
