import torch


def rate(log_rate):
    return log_rate.clamp(max=6.90776).exp()
