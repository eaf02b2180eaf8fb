import torch


def direction(x):
    return torch.nn.functional.normalize(x, dim=-1)
