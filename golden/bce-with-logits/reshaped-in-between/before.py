import torch.nn.functional as F


def loss(scores, target):
    probs = F.sigmoid(scores).squeeze(1)
    return F.binary_cross_entropy(probs, target)
