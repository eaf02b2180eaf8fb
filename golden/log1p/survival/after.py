import torch


def log_survival(p):
    return torch.log1p(-p)
