import torch


def masked_log_partition(scores, weights):
    exp = torch.exp(scores) * weights
    return torch.log(exp.sum(dim=1))
