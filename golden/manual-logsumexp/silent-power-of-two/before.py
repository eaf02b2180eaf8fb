import torch


def bits(scores):
    return torch.log2(torch.exp2(scores).sum(dim=-1))
