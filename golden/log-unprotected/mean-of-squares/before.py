import torch


def log_power(frames):
    return torch.log10((frames**2).mean(-1))
