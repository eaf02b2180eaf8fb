import torch
import torch.nn.functional as F
from torch import nn


def f(logits, labels):
    return F.cross_entropy(torch.softmax(logits, dim=-1), labels)
