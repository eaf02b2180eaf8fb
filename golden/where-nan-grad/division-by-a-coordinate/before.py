import torch


def inverse_depth(z, eps: float = 1e-8):
    scale = torch.where(torch.abs(z) > eps, 1.0 / z, torch.ones_like(z))
    return scale
