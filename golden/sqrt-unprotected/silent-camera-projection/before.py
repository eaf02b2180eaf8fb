import torch


def project(x, y, z, fx, fy, cx, cy, xi):
    depth = z + xi * torch.sqrt(x * x + y * y + z * z)
    return fx * (x / depth) + cx, fy * (y / depth) + cy
