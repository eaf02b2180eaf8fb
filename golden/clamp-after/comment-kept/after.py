import torch


def gain(x):
    return torch.exp(
        x.clamp(max=6.90776)  # decibels
    )
