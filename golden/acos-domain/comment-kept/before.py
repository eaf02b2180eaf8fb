import torch


def angle(u, v):
    return torch.acos(
        (u * v).sum(-1).clamp(  # unit vectors
            min=-1.0, max=1.0
        )
    )
