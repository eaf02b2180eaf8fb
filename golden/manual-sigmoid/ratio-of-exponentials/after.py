import torch


def probability(logit):
    return torch.sigmoid(logit)
