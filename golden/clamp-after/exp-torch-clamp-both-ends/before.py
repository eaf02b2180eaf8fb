import torch


def spread(raw):
    scale = torch.clamp(torch.exp(raw), 1e-4, 1e4)
    return scale
