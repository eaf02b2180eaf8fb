import torch
import torch.nn.functional as F


def loss(logits, target):
    probs = torch.sigmoid(logits)
    return F.binary_cross_entropy(probs, target, reduction="sum")
