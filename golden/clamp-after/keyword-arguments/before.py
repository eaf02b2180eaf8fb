import torch


def rate(log_rate):
    return torch.clamp(input=log_rate.exp(), min=0.0, max=1e3)
