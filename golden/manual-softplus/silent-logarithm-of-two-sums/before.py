import torch


def log_add(a, b):
    maxval = torch.max(a, b)
    minval = torch.min(a, b)
    return (minval - maxval).exp().log1p() + maxval
