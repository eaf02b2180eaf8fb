import torch


def masked_whiten(values, mask):
    mask = mask.bool()
    return (values - values[mask].mean()) / (values[mask].std() + 1e-8)
