import torch


def decibels(x):
    return 10 * torch.log10(1 + x)
