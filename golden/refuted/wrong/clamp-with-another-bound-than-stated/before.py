import torch
import torch.nn.functional as F
from torch import nn


def f(x):
    return torch.exp(x)
