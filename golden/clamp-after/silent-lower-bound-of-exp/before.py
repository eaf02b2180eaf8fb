import torch


def std(log_std):
    return log_std.exp().clamp(min=1e-4)
