import torch


def f(x):
    return (x**2).mean(-1) - x.mean(-1)
