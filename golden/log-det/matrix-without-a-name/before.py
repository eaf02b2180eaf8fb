import torch


def evidence(weight, shift):
    return torch.log(torch.det(weight + shift))
