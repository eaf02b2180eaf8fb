import torch


@torch.no_grad()
def angular_error(a, b):
    return torch.rad2deg(torch.acos((a * b).sum(-1).clamp(-1, 1))).mean()
