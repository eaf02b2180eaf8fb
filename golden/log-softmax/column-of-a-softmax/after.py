import torch


def log_positive(logits):
    return torch.log_softmax(logits, dim=1)[:, 1]
