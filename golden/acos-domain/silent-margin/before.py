import torch


def angle(a, b):
    return torch.acos((a * b).sum(-1).clamp(-1 + 1e-6, 1 - 1e-6))
