import torch


def weights(scores):
    exp = torch.exp(scores)
    return exp / exp.sum(dim=-1, keepdim=True)
