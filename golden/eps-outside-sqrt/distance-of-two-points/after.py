import torch


def distance(source, target):
    return torch.sqrt(((source - target) ** 2).sum(-1).clamp_min(torch.finfo(source.dtype).tiny)) + 1e-4
