import torch


def std(x):
    return torch.sqrt(torch.var(x, dim=0, correction=0))
