import torch


def length(x):
    h = x.to(torch.float16)
    return torch.sqrt((h * h).sum(dim=-1) + 1e-4)
