import torch


def log_determinant(diagonal):
    return torch.log(torch.exp(diagonal)).sum(dim=-1)
