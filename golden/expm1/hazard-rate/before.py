import torch


def hazard(rate, dt):
    return 1 - torch.exp(-rate * dt)
