import torch


def f(delta):
    squared = (delta**2).sum(-1)
    return squared.mean(), torch.sqrt(squared).mean()
