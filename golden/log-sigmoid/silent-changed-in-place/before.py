import torch


def f(x, floor):
    p = torch.sigmoid(x)
    p.mul_(1 - floor).add_(floor)
    return torch.log(p)
