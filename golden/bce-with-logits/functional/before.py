import torch
import torch.nn.functional as F


def loss(logits, target):
    return F.binary_cross_entropy(torch.sigmoid(logits), target)
