import torch


def peak_normalise(waveform):
    peak = waveform.abs().amax(dim=-1, keepdim=True)
    return waveform / peak
