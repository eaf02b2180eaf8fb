import torch
import torch.nn.functional as F
from torch import nn


def f(x, temperature):
    e = torch.exp(x / temperature)
    return e / e.sum(-1, keepdim=True)
