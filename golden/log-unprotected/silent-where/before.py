import torch


def log_magnitude(x):
    return torch.where(x != 0, torch.log(x.abs()), torch.zeros_like(x))
