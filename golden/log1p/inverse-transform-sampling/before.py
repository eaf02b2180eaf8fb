import torch


def exponential(u, rate):
    return -torch.log(1.0 - u) / rate
