import torch
import torch.nn.functional as F
from torch import nn


def f(scores, attention_mask):
    scores = scores + (1.0 - attention_mask) * torch.finfo(scores.dtype).max
    return scores.softmax(-1)
