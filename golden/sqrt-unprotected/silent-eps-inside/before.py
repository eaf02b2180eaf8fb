import torch


def rmse(prediction, target, eps=1e-8):
    return torch.sqrt(((prediction - target) ** 2).mean() + eps)
