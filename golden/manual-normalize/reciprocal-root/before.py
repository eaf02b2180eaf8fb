import torch


def unit(v):
    return v * torch.rsqrt((v * v).sum(dim=1, keepdim=True))
