import torch


def log_survival(p):
    return torch.log(1 - p)
