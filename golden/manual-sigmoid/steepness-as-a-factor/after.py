import torch


def soft_step(x, center):
    return torch.sigmoid(50.0 * (x - center))
