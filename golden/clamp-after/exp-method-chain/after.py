import torch


def decode(log_magnitude, phase):
    magnitude = torch.exp(log_magnitude.clamp(max=4.60517))
    return magnitude * torch.cos(phase)
