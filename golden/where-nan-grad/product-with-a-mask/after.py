import torch


def masked_ratio(a, b):
    inside = b > 0
    return (a / torch.where(inside, b, 1.0)) * inside
