import torch


def pairwise_interactions(x):
    return 0.5 * (x.sum(1) ** 2 - (x**2).sum(1))
