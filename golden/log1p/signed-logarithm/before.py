import torch


def symlog(x):
    return torch.sign(x) * torch.log(torch.abs(x) + 1.0)
