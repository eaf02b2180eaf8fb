import torch
import torch.nn.functional as F
from torch import nn


def route(logits):
    weights = torch.exp(logits) / torch.exp(logits).sum(-1, keepdim=True)
    return weights
