import torch


@torch.no_grad()
def loudness(wave):
    return torch.log10(wave.abs())
