import torch
from torch import nn


def attend(q, k, v, mask, dropout):
    scores = torch.matmul(q, k.transpose(2, 3))
    mask = (mask == 0).view(q.size(0), 1, 1, -1).expand_as(scores)
    scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)
    return torch.matmul(dropout(nn.functional.softmax(scores, dim=-1)), v)
