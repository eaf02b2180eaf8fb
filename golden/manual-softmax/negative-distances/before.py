import torch


def soft_assignment(points, centres, tau):
    similarity = torch.exp(-torch.cdist(points, centres) ** 2 / tau)
    return similarity / similarity.sum(dim=1, keepdim=True)
