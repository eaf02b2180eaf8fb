import torch
import torch.nn.functional as F
from torch import nn


def route(logits):
    weights = torch.softmax(logits, dim=-1).detach()
    return weights
