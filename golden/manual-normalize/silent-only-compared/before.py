import torch


def in_front(a, b, points):
    direction = (b - a) / torch.norm(b - a, dim=-1)[..., None]
    along = (points * direction).sum(-1)
    return (along >= 0) & (along <= 1)
