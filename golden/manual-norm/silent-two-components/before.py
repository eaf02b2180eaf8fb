import torch


def magnitude(gx, gy):
    return torch.sqrt((gx * gx + gy * gy).sum(1))
