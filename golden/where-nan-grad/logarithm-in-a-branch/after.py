import torch


def safe_log(x):
    inside = x > 0
    return torch.where(inside, torch.log(torch.where(inside, x, 1.0)), 0.0)
