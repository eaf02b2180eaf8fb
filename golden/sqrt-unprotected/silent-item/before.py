import torch


def log_rmse(prediction, target):
    return torch.sqrt(((prediction - target) ** 2).mean()).item()
