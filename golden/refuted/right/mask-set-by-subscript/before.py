import torch
import torch.nn.functional as F
from torch import nn


def f(s, pad):
    s[pad] = float("-inf")
    return torch.softmax(s, dim=-1)
