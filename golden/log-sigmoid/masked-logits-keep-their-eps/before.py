import torch


def loss(scores, mask, target):
    masked = scores.masked_fill(mask, float("-inf"))
    return -(target * torch.log(torch.sigmoid(masked) + 1e-8)).sum()
