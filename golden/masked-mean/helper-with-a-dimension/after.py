import torch
import torch.nn.functional as F


def masked_mean(values, mask, dim=None):
    return (values * mask).sum(dim=dim) / mask.sum(dim=dim).clamp_min(1)
