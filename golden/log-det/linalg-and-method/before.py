import torch


def log_abs_det(weight):
    return torch.linalg.det(weight).abs().log()
