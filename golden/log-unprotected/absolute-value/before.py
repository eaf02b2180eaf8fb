import torch


def log_spectrum(spectrum):
    return torch.log(spectrum.abs())
