import torch


def frobenius(a):
    return a.pow(2).sum(dim=(-2, -1)).pow(0.5)
