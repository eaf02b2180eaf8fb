import torch


def pairwise(x, y):
    squared = x.pow(2).sum(-1, keepdim=True) + y.pow(2).sum(-1) - 2 * x @ y.t()
    return squared.clamp(min=torch.finfo(squared.dtype).tiny).sqrt()
