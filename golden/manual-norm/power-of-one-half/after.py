import torch


def speed(velocity):
    return torch.linalg.vector_norm(velocity, dim=-1)
