import torch


def unit(v):
    return v / (torch.sqrt((v**2).sum(dim=-1, keepdim=True)) + 1e-8)
