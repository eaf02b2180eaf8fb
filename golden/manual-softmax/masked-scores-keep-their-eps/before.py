import torch


def weights(scores, mask):
    scores = scores.masked_fill(~mask, float("-inf"))
    exp = torch.exp(scores)
    return exp / (exp.sum(dim=-1, keepdim=True) + 1e-8)
