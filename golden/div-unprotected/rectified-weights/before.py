import torch


def mix(values, scores):
    weights = torch.relu(scores)
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return (values * weights).sum(-1)
