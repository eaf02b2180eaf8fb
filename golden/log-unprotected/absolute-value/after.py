import torch


def log_spectrum(spectrum):
    return torch.log(spectrum.abs().clamp_min(torch.finfo(spectrum.dtype).tiny))
