import torch


def log_partition(energies):
    return torch.logsumexp((-energies).flatten(), dim=0)
