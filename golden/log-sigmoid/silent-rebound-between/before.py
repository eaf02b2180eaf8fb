import torch


def f(x, prior):
    p = torch.sigmoid(x)
    p = p * prior
    return torch.log(p)
