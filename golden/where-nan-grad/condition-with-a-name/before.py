import torch


def direction(x, length):
    nonzero = length != 0
    return torch.where(nonzero, x / length, torch.zeros_like(x))
