import torch


def rms_norm(x, scale):
    rms = (x.pow(2).mean(dim=-1, keepdim=True)) ** 0.5 + 1e-6
    return scale * x / rms
