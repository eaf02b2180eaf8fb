import torch.nn.functional as F


def loss(scores, target):
    return F.binary_cross_entropy_with_logits(scores.squeeze(1), target)
