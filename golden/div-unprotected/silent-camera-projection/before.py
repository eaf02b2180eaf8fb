import torch


def pixels(points, intrinsics):
    projected = torch.matmul(points, intrinsics.transpose(-1, -2))
    return projected[..., :2] / projected[..., 2:3]
