import torch
import torch.nn.functional as F
from torch import nn


GATE_TEMPERATURE = 0.1


def route(scores, threshold):
    p = F.softmax(scores, dim=-1)
    p_sorted, order = p.sort(dim=-1, descending=True)
    before = p_sorted.cumsum(-1) - p_sorted
    mask = (before < threshold).float()
    return mask, order
