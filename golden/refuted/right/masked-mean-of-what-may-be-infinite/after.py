import torch
import torch.nn.functional as F
from torch import nn


def f(x, mask):
    return torch.exp(torch.where(mask.bool(), x, 0.0)).mul(mask).sum() / mask.sum().clamp(min=1)
