import torch
import torch.nn as nn


def loss(scores, target):
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    probs = torch.softmax(scores, dim=-1)
    return criterion(probs, target), probs.max()
