import torch


def f(a, b):
    return torch.linalg.pinv(a) @ b
