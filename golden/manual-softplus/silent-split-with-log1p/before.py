import torch


def stable(x):
    return x.relu() + torch.log1p(torch.exp(-x.abs()))
