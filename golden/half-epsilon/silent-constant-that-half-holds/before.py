import torch


def standardise(x):
    h = x.half()
    return h / (h.std(dim=-1, keepdim=True) + 1e-4)
