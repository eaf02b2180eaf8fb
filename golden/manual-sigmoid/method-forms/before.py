import torch


def squash(x):
    return 1.0 / (1.0 + (-x).exp())
