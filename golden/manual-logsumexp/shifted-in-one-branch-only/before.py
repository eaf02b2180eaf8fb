import torch


def free_energy(energies: torch.Tensor, centre: bool) -> torch.Tensor:
    if centre:
        exponent = energies - energies.amax(dim=-1, keepdim=True)
    else:
        exponent = energies * 2.0
    return -torch.log(torch.sum(torch.exp(exponent), dim=-1))
