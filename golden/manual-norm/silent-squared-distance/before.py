import torch


def f(a, b):
    return ((a - b) ** 2).sum(-1)
