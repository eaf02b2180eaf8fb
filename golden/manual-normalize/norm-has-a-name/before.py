import torch


def unit(v):
    length = torch.norm(v, p=2, dim=-1, keepdim=True)
    return v / length
