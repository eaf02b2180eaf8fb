import torch


def spread(x):
    second = torch.mean(torch.square(x), dim=-1)
    first = torch.mean(x, dim=-1)
    return second - first * first
