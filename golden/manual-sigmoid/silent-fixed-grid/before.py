import torch


def window(n):
    t = torch.arange(n) - n / 2
    return 1 / (1 + torch.exp(-t))
