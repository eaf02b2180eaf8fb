import torch


def f(x, w):
    e = torch.exp(x)
    e = e * w
    return torch.log(1 + e)
