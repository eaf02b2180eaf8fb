import torch


def standardise(x):
    x = x.float()
    centred = x - x.mean()
    return centred / x.std()
