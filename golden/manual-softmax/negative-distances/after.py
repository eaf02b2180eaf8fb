import torch


def soft_assignment(points, centres, tau):
    return torch.softmax(-torch.cdist(points, centres) ** 2 / tau, dim=1)
