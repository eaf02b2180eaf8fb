import torch


def free_energy(energies):
    return -torch.log(torch.sum(torch.exp(-energies), dim=-1))
