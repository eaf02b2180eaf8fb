import torch
import torch.nn.functional as F
from torch import nn


def route(logits):
    weights = torch.softmax(logits.float(), dim=-1).to(logits.dtype)
    return weights
