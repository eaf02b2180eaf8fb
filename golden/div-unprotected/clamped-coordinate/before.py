import torch


def from_homogeneous(points):
    z = points[..., -1:]
    return points[..., :-1] / torch.clamp(z, 1e-6)
