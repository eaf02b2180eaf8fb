import torch


def stable(x):
    return torch.clamp(x, min=0) + torch.log(1 + torch.exp(-torch.abs(x)))
