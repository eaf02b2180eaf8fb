import torch


def growth(x):
    return x.expm1()
