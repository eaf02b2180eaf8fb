import torch


def amplitude(power):
    return torch.sqrt(power)
