import torch


def frobenius(a):
    return torch.linalg.vector_norm(a, dim=(-2, -1))
