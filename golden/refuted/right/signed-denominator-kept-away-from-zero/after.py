import torch
import torch.nn.functional as F
from torch import nn


def f(x, d):
    return x / torch.where(d.abs() < 1e-6, torch.where(d < 0, -1e-6, 1e-6).to(d.dtype), d)
