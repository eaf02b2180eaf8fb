import torch


def standardise(x, eps=1e-5):
    return (x - x.mean(0)) / (torch.sqrt(x.var(0) + eps) + eps)
