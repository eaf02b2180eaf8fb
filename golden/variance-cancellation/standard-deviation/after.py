import torch


def std(x):
    return torch.std(x, dim=0, correction=0)
