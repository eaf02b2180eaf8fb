import torch


def attend(q, k, v, mask):
    scores = torch.matmul(q, k.transpose(1, 2))
    weights = torch.softmax(scores.masked_fill_(mask, torch.finfo(scores.dtype).min), dim=-1)
    return weights @ v
