import torch
import torch.nn.functional as F
from torch import nn


def f(s, pad=None):
    if pad is not None:
        s = s.masked_fill(pad, float("-inf"))
    return torch.softmax(s, dim=-1)
