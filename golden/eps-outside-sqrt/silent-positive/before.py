import torch
import torch.nn.functional as F


def std(raw):
    return torch.sqrt(F.softplus(raw) + 1e-4) + 1e-6
