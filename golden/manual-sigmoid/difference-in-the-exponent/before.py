import torch


def prefer(a, b):
    return torch.reciprocal(1 + torch.exp(b - a))
