import torch


def entropy(p):
    return -(p * torch.log(p + 1e-8)).sum(-1)
