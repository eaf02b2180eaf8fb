import torch


def confidence(logits):
    return torch.softmax(logits, dim=1).sum(dim=0).log()
