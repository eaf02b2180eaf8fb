import torch


def unit(x):
    return x / (x.norm(dim=-1, keepdim=True) + 1e-6)
