import torch


def hazard(rate, dt):
    return -torch.expm1(-rate * dt)
