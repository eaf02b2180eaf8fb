import torch


def f(x):
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-6)
