import torch


def energy(x):
    h = x.half()
    return h.pow(2).sum(dim=-1)
