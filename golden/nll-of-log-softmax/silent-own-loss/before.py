import torch


def cross_entropy(p, y):
    return -(y * torch.log(p)).sum()


def loss(x, y):
    return cross_entropy(torch.softmax(x, dim=1), y)
