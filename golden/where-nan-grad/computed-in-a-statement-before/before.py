import torch


def entropy_like(p, weight):
    positive = p > 0
    logs = p.log()
    return torch.where(positive, weight * logs, 0.0)
