import torch


def squash(x):
    return x.sigmoid()
