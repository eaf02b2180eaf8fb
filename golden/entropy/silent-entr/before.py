import torch


def entropy(p):
    return torch.special.entr(p).sum(-1)
