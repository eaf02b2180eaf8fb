import torch


def attend(q, k, v, mask):
    weights = torch.softmax((q @ k.mT).masked_fill(mask, float("-inf")) if mask is not None else q @ k.mT, dim=-1)
    return weights @ v
