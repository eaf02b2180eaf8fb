import torch


def spread(raw):
    scale = torch.exp(raw.clamp(min=-9.21034, max=9.21034))
    return scale
