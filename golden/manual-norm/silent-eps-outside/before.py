import torch


def distance(a, b):
    return torch.sqrt(torch.sum((a - b) ** 2, dim=-1)) + 1e-6
