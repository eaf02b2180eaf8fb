import torch


def unit_rms(x):
    tiny = 1e-12
    h = x.half()
    power = h.square().mean(dim=-1, keepdim=True)
    return h * torch.rsqrt(power.clamp_min(max(tiny, torch.finfo(power.dtype).eps)))
