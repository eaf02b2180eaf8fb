import torch


def welsch(difference):
    squared = difference**2
    t = torch.tanh(0.25 * squared)
    return torch.where(squared < 1.0, 2.0 * t / (1.0 + t), 1.0 - (-0.5 * squared).exp())
