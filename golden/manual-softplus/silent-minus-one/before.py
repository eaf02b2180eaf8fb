import torch


def inverse_softplus(y):
    return torch.log(torch.exp(y) - 1)
