import torch
import torch.nn.functional as F
from torch import nn


def f(z, log_s):
    s = torch.exp(log_s.clamp(-10, 10))
    x = z / s
    logdet = torch.log(s).sum(-1)
    return x, logdet
