import torch


def quantise(x):
    return torch.floor(torch.log2(x.abs()))
