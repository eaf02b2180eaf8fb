import torch


def scale(noise_level, sigma_max):
    return torch.sqrt(noise_level**2 + sigma_max**2)
