import torch


def f(x):
    return torch.linalg.vector_norm(x, dim=-1)
