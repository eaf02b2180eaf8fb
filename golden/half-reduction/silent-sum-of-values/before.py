import torch


def total(x):
    return x.half().sum(dim=-1), x.half().mean(dim=-1)
