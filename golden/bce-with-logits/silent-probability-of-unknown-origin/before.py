import torch.nn.functional as F


def loss(p, y):
    return F.binary_cross_entropy(p, y)
