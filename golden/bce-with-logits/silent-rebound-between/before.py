import torch
import torch.nn.functional as F


def loss(x, y, mask):
    p = torch.sigmoid(x)
    p = p * mask
    return F.binary_cross_entropy(p, y)
