import torch
from torch import nn


def loss(scores, target):
    criterion = nn.BCELoss()
    probs = torch.sigmoid(scores)
    return criterion(probs, target)
