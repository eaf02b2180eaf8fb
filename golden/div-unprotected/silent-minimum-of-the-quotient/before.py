import torch


def f(delta, limit):
    return delta * torch.clamp(limit / delta.norm(), max=1.0)
