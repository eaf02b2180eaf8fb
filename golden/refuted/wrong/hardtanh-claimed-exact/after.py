import torch
import torch.nn.functional as F
from torch import nn


def f(x):
    return torch.exp(F.hardtanh(x, -20.0, 20.0))
