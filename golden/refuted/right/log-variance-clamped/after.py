import torch
import torch.nn.functional as F
from torch import nn


def sample(mu, logvar):
    std = torch.exp(0.5 * logvar.clamp(-30, 20))
    eps = torch.randn_like(std)
    return mu + eps * std
