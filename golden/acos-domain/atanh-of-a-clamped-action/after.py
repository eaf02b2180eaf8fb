import torch


def inverse_squash(action):
    eps = torch.finfo(action.dtype).eps
    return torch.atanh(action.clamp(-1.0 + eps, 1.0 - eps))
