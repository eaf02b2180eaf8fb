import torch


def softplus(x):
    return torch.where(x > 20.0, x, torch.log(1.0 + torch.exp(x)))
