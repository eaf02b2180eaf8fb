import torch


def fermi(energy, mu, temperature):
    return 1 / (torch.exp((energy - mu) / temperature) + 1)
