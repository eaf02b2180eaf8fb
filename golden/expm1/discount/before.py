import torch


def discounted(reward, rate, t):
    weight = torch.exp(-rate * t)
    lost = 1.0 - weight
    return reward * lost
