import torch


def variance(x):
    return torch.mean(x * x) - torch.mean(x) ** 2
