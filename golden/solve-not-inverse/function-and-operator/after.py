import torch


def posterior_mean(precision, shift):
    return torch.linalg.solve(precision, shift)
