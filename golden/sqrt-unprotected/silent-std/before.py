import torch


def spread(x):
    return x.std(0)  # not sqrt(var)
