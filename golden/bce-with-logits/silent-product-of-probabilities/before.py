import torch
import torch.nn.functional as F


def loss(a, b, y):
    return F.binary_cross_entropy(torch.sigmoid(a) * torch.sigmoid(b), y)
