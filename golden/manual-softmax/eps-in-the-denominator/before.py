import torch


def weights(scores, values):
    exp = scores.exp()
    normalised = exp / (exp.sum(dim=-1, keepdim=True) + 1e-8)
    return normalised @ values
