import torch


def loss(logits, target):
    return -torch.log_softmax(logits, dim=1).gather(1, target.unsqueeze(1)).mean()
