import torch


def log_weight(w):
    return torch.log(w).clamp(max=5.0)
