import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad, causal):
    a = torch.zeros_like(scores).masked_fill(pad, float("-inf"))
    b = torch.zeros_like(scores).masked_fill(causal, float("-inf"))
    scores = scores + (a + b)
    return scores.softmax(-1)
