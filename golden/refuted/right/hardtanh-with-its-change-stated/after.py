import torch
import torch.nn.functional as F
from torch import nn


def f(x):
    return torch.exp(F.hardtanh(x, -10.0, 10.0))
