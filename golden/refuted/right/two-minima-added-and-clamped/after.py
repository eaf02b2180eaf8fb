import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad, causal):
    a = torch.zeros_like(scores).masked_fill(pad, torch.finfo(scores.dtype).min)
    b = torch.zeros_like(scores).masked_fill(causal, torch.finfo(scores.dtype).min)
    scores = (scores + (a + b).clamp_min(torch.finfo(scores.dtype).min)).clamp_min(torch.finfo(scores.dtype).min)
    return scores.softmax(-1)
