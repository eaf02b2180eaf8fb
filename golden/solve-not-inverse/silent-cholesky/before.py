import torch


def f(a, b):
    return torch.cholesky_inverse(torch.linalg.cholesky(a)) @ b
