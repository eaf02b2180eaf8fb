import torch


def distort(x, y, k1, rotation):
    radial = 1 + k1 * (x**2 + y**2)
    points = torch.stack([x * radial, y * radial, torch.ones_like(x)], -1) @ rotation.transpose(-2, -1)
    return points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
