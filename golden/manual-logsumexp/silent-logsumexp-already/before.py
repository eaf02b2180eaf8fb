import torch


def log_partition(energies):
    return torch.logsumexp(-energies, dim=-1) - torch.exp(energies).sum(-1).detach().log10()
