import torch
import torch.nn.functional as F
from torch import nn


def f(x):
    e = torch.exp(x - x.amax(-1, keepdim=True))
    return e / e.sum(-1)
