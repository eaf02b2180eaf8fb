import torch


def weights(scores):
    exp = (scores - scores.max()).exp()
    return exp / exp.sum(dim=-1, keepdim=True)
