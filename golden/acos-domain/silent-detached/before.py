import torch


def weight(a, b):
    return torch.acos((a * b).sum(-1).detach().clamp(-1, 1))
