import torch


def standardise(x):
    return (x - x.mean(0)) / (x.var(0).sqrt() + 1e-5)
