import torch


def rms(x):
    return torch.sqrt(x.pow(2).mean(-1) + 1e-5), x.half()
