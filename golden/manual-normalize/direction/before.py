import torch


def direction(x):
    return x / x.norm(dim=-1, keepdim=True)
