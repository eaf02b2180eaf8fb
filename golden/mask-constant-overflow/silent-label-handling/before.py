import torch
import torch.nn.functional as F


def loss(logits, labels, padding):
    labels = labels.masked_fill(padding, -100)
    penalty = -1e4 * padding.float().mean()
    return F.cross_entropy(logits, labels) + 0.0 * penalty
