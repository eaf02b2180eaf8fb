import torch


def demodulate(weight, style):
    w = weight.half() * style.half()
    scale = w.square().sum(dim=[1, 2, 3], keepdim=True).clamp_min(torch.finfo(w.dtype).eps).rsqrt()
    return w * scale
