import torch


def std(x):
    return torch.sqrt((x**2).mean(dim=0) - x.mean(dim=0) ** 2)
