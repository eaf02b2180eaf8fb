import torch


def precondition(sigma, sigma_data, x):
    return x / (sigma**2 + sigma_data**2) ** 0.5
