import torch


def attend(q, k, v, mask):
    scores = q @ k.mT
    mask = torch.softmax(scores.masked_fill(mask, torch.finfo(scores.dtype).min), -1)
    return mask @ v
