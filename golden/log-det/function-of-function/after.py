import torch


def log_det(weight):
    return torch.logdet(weight)
