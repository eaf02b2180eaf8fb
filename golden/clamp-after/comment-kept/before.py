import torch


def gain(x):
    return torch.exp(
        x  # decibels
    ).clamp(max=1000.0)
