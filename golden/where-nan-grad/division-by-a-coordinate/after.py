import torch


def inverse_depth(z, eps: float = 1e-8):
    inside = torch.abs(z) > eps
    scale = torch.where(inside, 1.0 / torch.where(inside, z, 1.0), torch.ones_like(z))
    return scale
