import torch
import torch.nn.functional as F
from torch import nn


def f(s, pad):
    s = s.masked_fill(pad, -1e9)
    return s.softmax(-1)
