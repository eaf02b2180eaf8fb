import torch


def log_sine_squared(cosine):
    return torch.log((1 - cosine**2).clamp_min(torch.finfo(cosine.dtype).tiny))
