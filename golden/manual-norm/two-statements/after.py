import torch


def contrastive(a, b, margin):
    distance = torch.linalg.vector_norm(a - b, dim=1)
    return torch.relu(margin - distance).pow(2).mean()
