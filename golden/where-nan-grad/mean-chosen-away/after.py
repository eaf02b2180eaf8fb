import torch


def group_mean(total, members):
    count = members.bool().sum(-1)
    inside = count > 0
    return torch.where(inside, total / torch.where(inside, count, 1), 0.0)
