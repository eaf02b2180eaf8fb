import torch


def information(p):
    inside = p <= 0
    surprise = -torch.log2(torch.where(inside, 1.0, p)).masked_fill(inside, 0.0)
    return surprise
