import torch


def distance(a, b):
    return torch.linalg.vector_norm(a - b, dim=-1)
