import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad):
    return scores.softmax(-1).masked_fill(pad, 0.0)
