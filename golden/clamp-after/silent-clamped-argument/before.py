import torch


def rate(log_rate):
    return torch.exp(log_rate.clamp(max=6.0)).clamp(max=400.0)
