import torch


def bits(x):
    return -torch.log2(torch.sigmoid(x))
