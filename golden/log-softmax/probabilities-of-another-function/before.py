import torch


def attention(scores):
    return torch.softmax(scores, dim=-1)


def entropy(scores):
    weights = attention(scores)
    return -(weights * torch.log(weights)).sum(-1)
