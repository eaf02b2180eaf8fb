import torch


def f(x, mean, sigma):
    return ((x - mean) / sigma).pow(2) + (x - mean) ** 2 / sigma**2
