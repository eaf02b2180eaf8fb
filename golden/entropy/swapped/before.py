import torch


def negative_entropy(weights):
    return torch.sum(torch.log(weights) * weights, dim=1)
