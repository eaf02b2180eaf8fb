import torch


def length(x):
    h = x.to(torch.float16)
    return torch.sqrt((h.float() * h.float()).sum(dim=-1) + 1e-4).to(h.dtype)
