import torch


def exponential(u, rate):
    return -torch.log1p(-u) / rate
