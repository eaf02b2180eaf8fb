import torch


def log_likelihood(z, y):
    h = 1 / (1 + torch.exp(-z))
    return (y * torch.log(h) + (1 - y) * torch.log(1 - h)).mean()
