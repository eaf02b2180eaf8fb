import torch


def attend(q, k, v, mask):
    scores = (q @ k.mT).masked_fill(mask, float("-inf"))
    weights = scores.softmax(-1)
    return weights @ v
