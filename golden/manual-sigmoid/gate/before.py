import torch


def gated(scores, values):
    gate = 1 / (1 + torch.exp(-scores))
    return gate * values
