import torch
import torch.nn.functional as F
from torch import nn


def f(s, t):
    causal = torch.ones(t, t, dtype=torch.bool).triu(1)
    s = s.masked_fill(causal, -1e4)
    return s.softmax(-1)
