import torch


def magnitude(x):
    return x.pow(2).mean(-1).sqrt().clamp(min=0.0)
