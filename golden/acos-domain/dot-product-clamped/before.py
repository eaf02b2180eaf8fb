import torch


def angle_between(a, b):
    return torch.acos((a * b).sum(-1).clamp(-1.0, 1.0))
