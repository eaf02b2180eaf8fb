import torch


def scale(x):
    return x / (x.detach().pow(2).mean(-1, keepdim=True).sqrt() + 1e-6)
