import torch


def rms(x):
    return x.float().square().mean(dim=-1).sqrt().half()
