import torch
import torch.nn.functional as F


def masked_variance(values, mask):
    mask = mask.bool()
    count = mask.sum()
    mean = (values * mask).sum() / count.clamp_min(1)
    return ((values - mean) ** 2 * mask).sum() / (count - 1).clamp_min(1)
