import torch


def soft_step(x, center):
    return 1 / (1 + torch.exp(-50.0 * (x - center)))
