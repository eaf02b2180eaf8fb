import torch


def log_abs_det(weight):
    return torch.log(torch.abs(torch.det(weight)))
