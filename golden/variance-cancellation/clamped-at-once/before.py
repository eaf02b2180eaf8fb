import torch


def std(x):
    m = x.mean(-1)
    return ((x * x).mean(-1) - m * m).clamp(min=0)
