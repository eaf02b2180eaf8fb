import torch


def angle(cos):
    inside = cos.abs() < 1
    safe = torch.where(inside, cos, torch.zeros_like(cos))
    return torch.where(inside, safe.acos(), torch.zeros_like(cos))
