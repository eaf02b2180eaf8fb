import torch


def unit(v):
    return v / torch.sqrt(torch.sum(v**2, dim=-1, keepdim=True))
