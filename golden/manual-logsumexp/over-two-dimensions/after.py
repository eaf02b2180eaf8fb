import torch


def log_partition(field):
    return torch.logsumexp(field, dim=(-2, -1), keepdim=True)
