import torch


def standardise(x, mean):
    var = ((x - mean) ** 2).mean(0)
    std = torch.sqrt(var).clamp_min(1e-2)
    return (x - mean) / std
