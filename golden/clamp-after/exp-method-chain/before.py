import torch


def decode(log_magnitude, phase):
    magnitude = torch.exp(log_magnitude).clamp(max=100.0)
    return magnitude * torch.cos(phase)
