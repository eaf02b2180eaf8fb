import torch


def entropy(p):
    return -(p * p.log()).sum(dim=-1)
