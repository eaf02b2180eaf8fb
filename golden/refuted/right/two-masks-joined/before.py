import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad, causal):
    scores = scores.masked_fill(pad, float("-inf"))
    scores = scores.masked_fill(causal, float("-inf"))
    return scores.softmax(-1)
