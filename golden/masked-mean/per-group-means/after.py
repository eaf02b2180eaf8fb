import torch
import torch.nn.functional as F


def group_means(values, group_mask):
    totals = (values.unsqueeze(1) * group_mask).sum(dim=0)
    return totals / group_mask.sum(dim=0).clamp_min(1)
