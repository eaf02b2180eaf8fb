import torch


def characteristic(samples, frequency):
    return torch.log(torch.exp(1j * frequency * samples).sum(dim=0))
