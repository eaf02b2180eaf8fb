import torch


def log_partition(scores, prior):
    total = torch.exp(scores)
    total = total - prior
    return torch.log(total.sum(dim=-1))
