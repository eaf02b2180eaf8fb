import torch


def attend(q, k, v, mask):
    scores = q @ k.mT
    scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(-1)
    return weights @ v
