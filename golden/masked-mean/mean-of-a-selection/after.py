import torch
import torch.nn.functional as F


def contrastive(distance, margin):
    violation = margin - distance
    selected = violation[violation > 0]
    return selected.mean() if selected.numel() > 0 else selected.sum()
