import torch


def weights(scores, mask):
    exp = torch.exp(scores) * mask
    return exp / exp.sum(dim=-1, keepdim=True)
