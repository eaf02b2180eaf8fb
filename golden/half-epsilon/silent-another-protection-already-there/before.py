import torch


def unit(x):
    h = x.half()
    spread = h.std(dim=-1, keepdim=True)
    return h / (spread.clamp_min(1e-3) + 1e-8)
