import torch
import torch.nn.functional as F
from torch import nn


def f(a, b):
    return torch.inverse(a) @ b
