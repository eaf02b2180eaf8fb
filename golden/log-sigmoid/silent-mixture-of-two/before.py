import torch


def f(x, y, w):
    return torch.log(w * torch.sigmoid(x) + (1 - w) * torch.sigmoid(y))
