import torch


def masked_ratio(a, b):
    return (a / b) * (b > 0)
