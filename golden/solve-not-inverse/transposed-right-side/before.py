import torch


def transposed(a, b):
    return torch.linalg.inv(a) @ b.T
