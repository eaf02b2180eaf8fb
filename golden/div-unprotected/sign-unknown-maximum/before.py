import torch


def heat(activation):
    return activation / activation.max()
