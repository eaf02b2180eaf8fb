import torch


def back_project(K0: torch.Tensor, pixels: torch.Tensor, intrinsics: torch.Tensor):
    rays = K0.inverse() @ pixels.transpose(2, 1)
    return rays, torch.bmm(torch.inverse(intrinsics), pixels.transpose(2, 1))
