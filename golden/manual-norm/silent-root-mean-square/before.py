import torch


def rms(x):
    return torch.sqrt(x.pow(2).mean(-1, keepdim=True))
