import torch


def phases(angles):
    wave = torch.exp(1j * angles)
    return wave / wave.sum(dim=-1, keepdim=True)
