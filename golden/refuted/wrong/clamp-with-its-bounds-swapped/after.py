import torch
import torch.nn.functional as F
from torch import nn


def f(mu, logvar):
    return mu + torch.exp(0.5 * logvar.clamp(20.0, -30.0))
