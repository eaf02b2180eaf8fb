import torch.nn.functional as F


def loss(logits, target):
    return F.cross_entropy(logits, target, reduction="none").sum()
