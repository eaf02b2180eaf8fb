import torch


def length(x):
    return torch.linalg.vector_norm(x, dim=1, keepdim=True)
