import torch


def scaled(advantages):
    return (advantages - torch.mean(advantages)) / (torch.std(advantages) + 1e-8)
