import torch
import torch.nn.functional as F
from torch import nn


GATE_TEMPERATURE = 0.1


def route(scores, threshold):
    p = F.softmax(scores, dim=-1)
    p_sorted, order = p.sort(dim=-1, descending=True)
    before = p_sorted.cumsum(-1) - p_sorted
    hard = (before < threshold).float()
    gate = torch.sigmoid((threshold - before).detach() / GATE_TEMPERATURE)
    mask = hard + gate - gate.detach()
    return mask, order
