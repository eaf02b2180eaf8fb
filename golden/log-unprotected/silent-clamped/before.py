import torch


def log_spectrum(spectrum):
    return torch.log(spectrum.abs().clamp(min=1e-5))
