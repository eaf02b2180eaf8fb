import torch


def select(scores, allowed, k):
    scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.topk(k, dim=-1).indices
