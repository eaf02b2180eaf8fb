import torch


def prefer(a, b):
    return torch.sigmoid(a - b)
