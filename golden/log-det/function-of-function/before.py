import torch


def log_det(weight):
    return torch.log(torch.det(weight))
