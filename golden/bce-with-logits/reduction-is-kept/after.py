import torch
import torch.nn.functional as F


def loss(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
