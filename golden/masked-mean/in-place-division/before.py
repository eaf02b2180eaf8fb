import torch
import torch.nn.functional as F


def pooled(hidden, padding_mask):
    total = (hidden * padding_mask[..., None]).sum(1)
    total /= padding_mask.sum(dim=1, keepdim=True)
    return total
