import torch
import torch.nn.functional as F
from torch import nn


def f(x):
    return torch.where(x > 0, torch.sqrt(torch.where(x > 0, x, 1.0)), 0.0)
