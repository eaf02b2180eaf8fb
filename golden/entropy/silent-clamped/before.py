import torch


def entropy(p):
    return -(p * p.clamp(min=1e-8).log()).sum(-1)
