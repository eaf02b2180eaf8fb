import torch


def entropy(logits):
    return -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
