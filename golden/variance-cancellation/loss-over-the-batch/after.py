import torch


def covariance_loss(z):
    variance = torch.var(z, dim=0, correction=0)
    return torch.relu(1 - torch.sqrt(variance + 1e-4)).mean()
