import torch
import torch.nn.functional as F


def contrastive(distance, margin):
    violation = margin - distance
    return violation[violation > 0].mean()
