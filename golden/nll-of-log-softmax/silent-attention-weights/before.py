import torch
import torch.nn.functional as F


def loss(q, k, v, y):
    weights = torch.softmax(q @ k.T, dim=1)
    return F.cross_entropy(weights @ v, y)
