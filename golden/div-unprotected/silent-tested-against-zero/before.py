import torch


def f(x):
    peak = x.abs().max()
    if peak == 0:
        return x
    return x / peak
