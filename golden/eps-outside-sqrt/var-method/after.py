import torch


def standardise(x):
    return (x - x.mean(0)) / (x.var(0).clamp_min(torch.finfo(x.dtype).tiny).sqrt() + 1e-5)
