import torch
import torch.nn.functional as F
from torch import nn


def loss(mu, logvar):
    return -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
