import torch
import torch.nn.functional as F


def loss(scores, target):
    probs = torch.sigmoid(scores).clamp(1e-6, 1 - 1e-6)
    return F.binary_cross_entropy(probs, target, reduction="none").sum()
