import torch


def entropy(x):
    p = torch.softmax(x, dim=-1)
    return -(p * torch.log(p)).sum(-1)
