import torch


def f(x, y):
    return y * torch.where(x > 0, torch.log(x), 0.0).detach()
