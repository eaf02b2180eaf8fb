import torch


def weights(scores, mask):
    exp = torch.exp(scores)
    exp.masked_fill_(mask, 0.0)
    return exp / exp.sum(dim=-1, keepdim=True)
