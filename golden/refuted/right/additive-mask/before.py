import torch
import torch.nn.functional as F
from torch import nn


def f(attention_mask):
    mask = attention_mask[:, None, None, :]
    mask = (1.0 - mask) * -1e9
    return mask
