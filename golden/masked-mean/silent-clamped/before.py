import torch
import torch.nn.functional as F


def f(x, mask):
    return (x * mask).sum() / mask.sum().clamp(min=1)
