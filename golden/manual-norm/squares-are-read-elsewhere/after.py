import torch


def f(delta):
    squared = (delta**2).sum(-1)
    return squared.mean(), torch.linalg.vector_norm(delta, dim=-1).mean()
