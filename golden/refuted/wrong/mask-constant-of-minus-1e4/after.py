import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad):
    scores = scores.masked_fill(pad, -1e4)
    return scores.softmax(-1)
