import torch
import torch.nn.functional as F


def f(x, labels):
    mask = labels >= 0
    n = mask.sum()
    if n > 0:
        return (x * mask).sum() / n
    return x.sum() * 0.0
