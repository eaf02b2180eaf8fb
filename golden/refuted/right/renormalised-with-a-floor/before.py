import torch
import torch.nn.functional as F
from torch import nn


def route(logits, threshold):
    p = torch.softmax(logits, dim=-1)
    weights = p * (p > threshold)
    weights = weights / weights.sum(-1, keepdim=True)
    return weights
