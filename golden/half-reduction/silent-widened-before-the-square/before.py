import torch


def rms(x):
    h = x.half()
    return torch.rsqrt(h.float().pow(2).mean(-1, keepdim=True) + 1e-5).to(h.dtype)
