import torch


def bits(p):
    return -(p * torch.log2(p)).sum()
