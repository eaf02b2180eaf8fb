import torch


def log_partition(scores, mask):
    exp = torch.exp(scores)
    exp[mask] = 0.0
    return torch.log(exp.sum(dim=-1))
