import torch


def pooled(scores, values):
    exp = torch.exp(scores - scores.amax(dim=-1, keepdim=True))
    context = exp @ values
    weights = exp / exp.sum(dim=-1, keepdim=True)
    return context, weights
