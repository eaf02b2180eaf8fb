import torch


def accelerations(mass, forces):
    return torch.bmm(torch.inverse(mass), forces)
