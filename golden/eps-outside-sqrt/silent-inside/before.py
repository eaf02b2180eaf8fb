import torch


def standardise(x):
    return (x - x.mean(0)) / torch.sqrt(x.var(0) + 1e-5)
