import torch


def contrastive(a, b, margin):
    squared = torch.square(a - b).sum(dim=1)
    distance = torch.sqrt(squared)
    return torch.relu(margin - distance).pow(2).mean()
