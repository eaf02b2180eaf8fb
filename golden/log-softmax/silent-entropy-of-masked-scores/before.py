import torch
import torch.nn.functional as F


def attention_entropy(scores, mask):
    scores = scores.masked_fill(mask, float("-inf"))
    attention = F.softmax(scores, dim=-1)
    return -(attention * torch.log(attention + 1e-9)).sum(-1)
