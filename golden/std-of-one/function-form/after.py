import torch


def scaled(advantages):
    return (advantages - torch.mean(advantages)) / (torch.std(advantages, correction=min(1, advantages.numel() - 1)) + 1e-8)
