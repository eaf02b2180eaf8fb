import torch


def std(x):
    return (torch.var(x, dim=-1, correction=0)).clamp(min=0)
