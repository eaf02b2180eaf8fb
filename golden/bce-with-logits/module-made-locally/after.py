import torch
from torch import nn


def loss(scores, target):
    criterion = nn.BCEWithLogitsLoss()
    return criterion(scores, target)
