import torch


def evaluate_rotation(a, b):
    return torch.acos((a * b).sum(-1).clamp(-1, 1)).mean()
