import torch


def angle(u, v):
    return torch.arccos((u * v).sum(-1))
