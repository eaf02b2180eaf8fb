import torch


def layer_norm(x, weight, bias):
    mean = x.mean(-1, keepdim=True)
    std = ((x - mean) ** 2).mean(-1, keepdim=True).sqrt() + 1e-6
    return weight * (x - mean) / std + bias
