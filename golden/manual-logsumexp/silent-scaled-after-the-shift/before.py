import torch


def smooth_maximum(x, r):
    x_max = x.amax(dim=-1, keepdim=True)
    return x_max.squeeze(-1) + (r * (x - x_max)).exp().sum(dim=-1).log() / r
