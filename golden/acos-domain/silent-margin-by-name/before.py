import torch


def angle(a, b, eps=1e-7):
    return torch.acos((a * b).sum(-1).clamp(-1.0 + eps, 1.0 - eps))
