import torch


def log_positive(logits):
    return torch.softmax(logits, dim=1)[:, 1].log()
