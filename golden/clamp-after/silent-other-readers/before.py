import torch


def rate(log_rate):
    rate = torch.exp(log_rate)
    held = rate.clamp(max=10.0)
    return held, rate
