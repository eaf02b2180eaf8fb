import torch


def spread(x):
    return torch.var(x, dim=-1, correction=0)
