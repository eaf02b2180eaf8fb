import torch
import torch.nn.functional as F
from torch import nn


def f(scores, attention_mask):
    scores = scores * attention_mask
    return scores.softmax(-1)
