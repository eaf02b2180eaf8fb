import torch


def log_gap(scores):
    return torch.log((torch.exp(scores) - 1).sum(dim=-1))
