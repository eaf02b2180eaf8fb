import torch
import torch.nn.functional as F
from torch import nn


def f(x, y):
    return torch.nan_to_num(x / y)
