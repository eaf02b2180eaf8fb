import torch


def rms(x):
    h = x.to(torch.bfloat16)
    return torch.rsqrt(h.pow(2).mean(-1) + 1e-5), torch.float16
