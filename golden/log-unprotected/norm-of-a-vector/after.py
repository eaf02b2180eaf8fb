import torch


def log_length(x):
    length = x.norm(dim=-1)
    return length.clamp_min(torch.finfo(length.dtype).tiny).log()
