import torch


def information(p):
    surprise = -torch.log2(p).masked_fill(p <= 0, 0.0)
    return surprise
