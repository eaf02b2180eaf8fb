import torch


def rays(directions):
    return directions / torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
