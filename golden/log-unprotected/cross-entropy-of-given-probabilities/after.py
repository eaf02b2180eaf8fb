import torch


def binary_cross_entropy(p, y):
    return -(y * torch.log(p.clamp_min(torch.finfo(p.dtype).tiny)) + (1 - y) * torch.log((1 - p).clamp_min(torch.finfo(p.dtype).tiny))).mean()
