import torch


def log_partition(field):
    return torch.log(torch.exp(field).sum(dim=(-2, -1), keepdim=True))
