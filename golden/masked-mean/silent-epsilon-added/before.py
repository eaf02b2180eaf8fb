import torch
import torch.nn.functional as F


def f(x, mask):
    return (x * mask).sum(-1) / (mask.sum(-1) + 1e-8)
