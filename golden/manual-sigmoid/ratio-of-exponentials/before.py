import torch


def probability(logit):
    odds = torch.exp(logit)
    return odds / (1 + odds)
