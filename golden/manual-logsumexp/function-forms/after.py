import torch


def free_energy(energies):
    return -torch.logsumexp(-energies, dim=-1)
