import torch
import torch.nn.functional as F


def attention_supervision(scores, mask, target):
    scores = scores.masked_fill(mask, float("-inf"))
    attention = F.softmax(scores, dim=-1)
    return -(target * torch.log(attention + 1e-9)).sum(-1)
