import torch


def angle(u, v):
    eps = torch.finfo(u.dtype).eps
    return torch.acos(
        (u * v).sum(-1).clamp(  # unit vectors
            min=-1.0 + eps, max=1.0 - eps
        )
    )
