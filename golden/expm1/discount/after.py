import torch


def discounted(reward, rate, t):
    lost = -torch.expm1(-rate * t)
    return reward * lost
