import torch


def magnitude(real, imag):
    return 1e-5 + torch.sqrt((real**2 + imag**2).clamp_min(torch.finfo(real.dtype).tiny))
