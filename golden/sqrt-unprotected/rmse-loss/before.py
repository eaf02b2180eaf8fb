import torch


def rmse(prediction, target):
    return torch.sqrt(((prediction - target) ** 2).mean())
