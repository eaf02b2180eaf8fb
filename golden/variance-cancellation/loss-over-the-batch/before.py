import torch


def covariance_loss(z):
    variance = (z**2).mean(0) - z.mean(0).pow(2)
    return torch.relu(1 - torch.sqrt(variance + 1e-4)).mean()
