import torch


def log_abs_det(weight):
    return torch.linalg.slogdet(weight).logabsdet
