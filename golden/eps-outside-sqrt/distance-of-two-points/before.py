import torch


def distance(source, target):
    return torch.sqrt(((source - target) ** 2).sum(-1)) + 1e-4
