import torch


def whiten(x):
    return (x - x.mean(0)) / x.std(0).clamp(min=1e-6)
