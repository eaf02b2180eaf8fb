import torch


def report(a, b):
    return torch.acos((a * b).sum().clamp(-1, 1)).item()
