import torch


def f(x):
    z = torch.fft.fft(x)
    return torch.sqrt((z * z).sum(-1))
