import torch


def entropy_like(p, weight):
    positive = p > 0
    logs = torch.where(positive, p, 1.0).log()
    return torch.where(positive, weight * logs, 0.0)
