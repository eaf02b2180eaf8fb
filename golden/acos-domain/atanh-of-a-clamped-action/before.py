import torch


def inverse_squash(action):
    return torch.atanh(action.clamp(-1.0, 1.0))
