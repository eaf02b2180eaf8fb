import torch


def group_mean(total, members):
    count = members.bool().sum(-1)
    return torch.where(count > 0, total / count, 0.0)
