import torch


def angle(u, v):
    eps = torch.finfo(u.dtype).eps
    return torch.arccos((u * v).sum(-1).clamp(-1.0 + eps, 1.0 - eps))
