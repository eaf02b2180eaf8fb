import torch
import torch.nn.functional as F
from torch import nn


def f(s, pad=None):
    if pad is not None:
        s = s.masked_fill(pad, torch.finfo(s.dtype).min)
    return torch.softmax(s, dim=-1)
