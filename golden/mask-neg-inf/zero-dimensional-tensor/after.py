import torch
from torch import nn


def attend(q, k, v, mask):
    scores = torch.matmul(q, k.transpose(2, 3))
    scores = scores.masked_fill(mask == 0, torch.finfo(scores.dtype).min)
    return torch.matmul(nn.functional.softmax(scores, dim=-1), v)
