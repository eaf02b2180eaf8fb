import torch


def ratios(scores, others):
    return torch.exp(scores) / torch.exp(others).sum(dim=-1, keepdim=True)
