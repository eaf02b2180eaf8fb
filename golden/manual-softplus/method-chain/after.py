import torch


def positive(x):
    return torch.nn.functional.softplus(x)
