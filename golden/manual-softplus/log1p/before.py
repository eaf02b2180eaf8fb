import torch


def positive(x):
    return torch.log1p(torch.exp(x))
