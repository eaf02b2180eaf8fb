import torch


def cross(p, q):
    return -(p * torch.log(q)).sum(-1)
