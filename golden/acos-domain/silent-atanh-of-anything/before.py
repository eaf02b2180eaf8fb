import torch


def fisher(r):
    return torch.atanh(r)
