import torch


def decibels(power):
    return 10.0 * torch.log10(power.clamp(min=torch.finfo(power.dtype).tiny))
