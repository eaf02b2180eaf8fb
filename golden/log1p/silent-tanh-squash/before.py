import torch


def correction(action):
    return torch.log(1 - torch.tanh(action).pow(2) + 1e-6)
