import torch
import torch.nn.functional as F
from torch import nn


def f(c):
    return torch.acos(c.clamp(-1 + 1e-8, 1 - 1e-8))
