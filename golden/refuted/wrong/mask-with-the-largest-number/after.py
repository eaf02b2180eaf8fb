import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad):
    scores = scores.masked_fill(pad, torch.finfo(scores.dtype).max)
    return scores.softmax(-1)
