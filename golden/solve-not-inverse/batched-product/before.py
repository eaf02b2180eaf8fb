import torch


def back_project(intrinsics, points):
    return torch.bmm(torch.inverse(intrinsics), points)
