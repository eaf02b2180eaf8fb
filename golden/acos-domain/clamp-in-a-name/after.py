import torch


def geodesic(r1, r2):
    eps = torch.finfo(r1.dtype).eps
    cos = torch.clamp(((r1 * r2).sum((-2, -1)) - 1) / 2, -1 + eps, 1 - eps)
    return torch.acos(cos)
