import torch


def f(x):
    m = x.mean(-1)
    x = x + 1
    return (x**2).mean(-1) - m**2
