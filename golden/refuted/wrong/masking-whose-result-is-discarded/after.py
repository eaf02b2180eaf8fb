import torch
import torch.nn.functional as F
from torch import nn


def weights(scores, pad):
    scores.clone().masked_fill_(pad, torch.finfo(scores.dtype).min)
    return scores.softmax(-1)
