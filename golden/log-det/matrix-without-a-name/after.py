import torch


def evidence(weight, shift):
    return torch.logdet(weight + shift)
