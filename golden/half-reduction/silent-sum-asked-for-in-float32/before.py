import torch


def energy(x):
    h = x.half()
    return torch.sqrt(h.pow(2).sum(dim=-1, dtype=torch.float32))
