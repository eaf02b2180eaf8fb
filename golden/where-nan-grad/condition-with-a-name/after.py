import torch


def direction(x, length):
    nonzero = length != 0
    return torch.where(nonzero, x / torch.where(nonzero, length, 1.0), torch.zeros_like(x))
