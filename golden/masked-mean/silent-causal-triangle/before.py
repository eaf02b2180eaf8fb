import torch
import torch.nn.functional as F


def f(x):
    mask = torch.tril(torch.ones(x.shape[-1], x.shape[-1]))
    return (x * mask).sum(-1) / mask.sum(-1)
