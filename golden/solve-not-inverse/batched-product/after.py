import torch


def back_project(intrinsics, points):
    return torch.linalg.solve(intrinsics, points)
