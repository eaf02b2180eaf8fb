import torch


def ratios(scores, negatives):
    exp = torch.exp(scores)
    return exp / (exp * negatives).sum(dim=-1, keepdim=True)
