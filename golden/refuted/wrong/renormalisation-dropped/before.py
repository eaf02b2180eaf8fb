import torch
import torch.nn.functional as F
from torch import nn


def route(p, kept):
    weights = p * kept
    weights = weights / weights.sum(-1, keepdim=True)
    return weights
