import torch
import torch.nn.functional as F


def weighted(loss, score, padding_mask):
    weights = torch.sigmoid(score).float() * padding_mask
    return (loss * weights).sum() / weights.sum()
