import torch


def binary_loss(p, y):
    return -(y * torch.log(p.clamp(min=torch.finfo(p.dtype).tiny)) + (1 - y) * torch.log((1 - p).clamp(min=torch.finfo(p.dtype).tiny))).mean()
