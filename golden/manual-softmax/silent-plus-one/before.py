import torch


def off_by_one(scores):
    exp = torch.exp(scores)
    return exp / (1 + exp.sum(dim=-1, keepdim=True))
