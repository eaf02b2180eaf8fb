import torch


def angle_between(a, b):
    eps = torch.finfo(a.dtype).eps
    return torch.acos((a * b).sum(-1).clamp(-1.0 + eps, 1.0 - eps))
