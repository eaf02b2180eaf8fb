import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad):
    scores = scores + torch.zeros_like(scores).masked_fill(pad, float("-inf"))
    a = scores.softmax(-1)
    return a
