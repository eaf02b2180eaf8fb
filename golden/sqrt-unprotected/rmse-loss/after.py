import torch


def rmse(prediction, target):
    return torch.sqrt(((prediction - target) ** 2).mean().clamp_min(torch.finfo(prediction.dtype).tiny))
