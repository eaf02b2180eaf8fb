import torch


def gated(scores, values):
    gate = torch.sigmoid(scores)
    return gate * values
