import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad):
    scores = scores.masked_fill(pad, float("-inf"))
    return scores.softmax(-1)
