import torch


def weight(log_snr, limit):
    snr = log_snr.exp()
    clipped = snr.clamp(max=limit)
    return clipped / (snr + 1)
