import torch


def softplus(x):
    inside = x > 20.0
    return torch.where(inside, x, torch.log(1.0 + torch.exp(torch.where(inside, 0.0, x))))
