import torch


def log_partition(energies):
    return torch.log(torch.exp(-energies).sum())
