import torch


def rms_norm(x):
    return x / torch.sqrt((x**2).mean(-1, keepdim=True))
