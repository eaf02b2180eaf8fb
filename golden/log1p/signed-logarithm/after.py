import torch


def symlog(x):
    return torch.sign(x) * torch.log1p(torch.abs(x))
