import torch
import torch.nn.functional as F
from torch import nn


def f(scores, attention_mask):
    scores = scores + (1.0 - attention_mask) * -10000.0
    return scores.softmax(-1)
