import torch


def magnitude(spec):
    real = spec[..., 0]
    imag = spec[..., 1]
    return ((real**2 + imag**2).clamp_min(torch.finfo(real.dtype).tiny)) ** 0.5
