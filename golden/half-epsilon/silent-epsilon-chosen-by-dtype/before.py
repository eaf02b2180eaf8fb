import torch


def unit(x):
    h = x.half()
    eps = torch.finfo(h.dtype).eps
    if h.dtype == torch.float32:
        eps = 1e-12
    return h / (h.norm(dim=-1, keepdim=True) + eps)
