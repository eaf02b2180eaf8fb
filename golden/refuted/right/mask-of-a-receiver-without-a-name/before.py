import torch
import torch.nn.functional as F
from torch import nn


def f(q, k, pad):
    a = (q @ k.mT).masked_fill(pad, float("-inf")).softmax(-1)
    return a
