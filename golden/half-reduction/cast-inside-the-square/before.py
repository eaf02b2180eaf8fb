import torch


def rms(x):
    return x.half().square().mean(dim=-1).sqrt()
