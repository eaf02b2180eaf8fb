import torch


def geodesic(r1, r2):
    cos = torch.clamp(((r1 * r2).sum((-2, -1)) - 1) / 2, -1, 1)
    return torch.acos(cos)
