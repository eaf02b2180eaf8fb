import torch


def log_spectrum(spectrum, eps=1e-6):
    return torch.log(spectrum.abs() + eps)
