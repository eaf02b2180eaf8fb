import torch


def rms_norm(x, weight, eps=1e-5):
    h = x.half()
    scale = torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + eps)
    return h * scale * weight
