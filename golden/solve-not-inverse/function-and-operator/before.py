import torch


def posterior_mean(precision, shift):
    return torch.inverse(precision) @ shift
