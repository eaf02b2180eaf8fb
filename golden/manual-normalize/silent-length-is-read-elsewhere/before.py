import torch


def polar(x):
    length = x.norm(dim=-1, keepdim=True)
    return x / length, length
