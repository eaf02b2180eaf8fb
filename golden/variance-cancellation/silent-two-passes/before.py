import torch


def f(x):
    return ((x - x.mean(-1, keepdim=True)) ** 2).mean(-1)
