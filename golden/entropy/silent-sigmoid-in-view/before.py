import torch


def entropy(x):
    p = torch.sigmoid(x)
    return -(p * torch.log(p) + (1 - p) * torch.log(1 - p)).sum()
