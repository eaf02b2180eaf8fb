import torch


def rate(log_rate, limit):
    return torch.exp(log_rate).clamp(max=limit)
