import torch
import torch.nn.functional as F
from torch import nn


def f(x):
    return torch.where(x > 0, torch.log(x), 0.0)
