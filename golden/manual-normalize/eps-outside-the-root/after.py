import torch


def unit(v):
    return torch.nn.functional.normalize(v, dim=-1)
