import torch
import torch.nn.functional as F
from torch import nn


def f(s, pad):
    s = s.masked_fill(pad, torch.finfo(s.dtype).min)
    return s.softmax(-1)
