import torch


def fermi(energy, mu, temperature):
    return torch.sigmoid((mu - energy) / temperature)
