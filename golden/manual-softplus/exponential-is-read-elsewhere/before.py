import torch


def f(x):
    rate = torch.exp(x)
    return torch.log(1 + rate), rate > 1
