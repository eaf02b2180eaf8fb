import torch


def demodulate(weight, style):
    w = weight.half() * style.half()
    scale = (w.square().sum(dim=[1, 2, 3], keepdim=True) + 1e-8).rsqrt()
    return w * scale
