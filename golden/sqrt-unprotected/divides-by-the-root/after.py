import torch


def standardise(x):
    variance = ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True)
    std = torch.sqrt(variance.clamp_min(torch.finfo(variance.dtype).eps))
    return (x - x.mean(-1, keepdim=True)) / std
