import torch
import torch.nn.functional as F
from torch import nn


def f(scores, pad):
    return scores.masked_fill(pad, torch.finfo(scores.dtype).min)
