import torch
import torch.nn.functional as F


def log_std(raw):
    return torch.log(F.softplus(raw) + 1e-4)
