import torch


def standardise(x, mean):
    var = ((x - mean) ** 2).mean(0)
    std = torch.sqrt(var.clamp(min=0.0001))
    return (x - mean) / std
