import torch


def angle(x):
    return torch.acos(0.99 * torch.tanh(x))
