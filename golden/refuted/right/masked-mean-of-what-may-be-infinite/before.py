import torch
import torch.nn.functional as F
from torch import nn


def f(x, mask):
    return (torch.exp(x) * mask).sum() / mask.sum().clamp(min=1)
