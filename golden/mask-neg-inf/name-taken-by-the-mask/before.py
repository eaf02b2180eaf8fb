import torch


def attend(q, k, v, mask):
    mask = torch.softmax((q @ k.mT).masked_fill(mask, float("-inf")), -1)
    return mask @ v
