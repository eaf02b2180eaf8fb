import torch
import torch.nn.functional as F
from torch import nn


def f(z, log_s):
    x = z * torch.exp(-log_s)
    logdet = -log_s.sum(-1)
    return x, logdet
