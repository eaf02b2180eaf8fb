import torch


def axis_angle_to_quaternion(axis_angle):
    angles = torch.norm(axis_angle, p=2, dim=-1, keepdim=True)
    half = 0.5 * angles
    small = 0.5 - angles * angles / 48
    large = torch.sin(half) / angles
    ratio = torch.where(angles.abs() < 1e-6, small, large)
    return torch.cat([torch.cos(half), axis_angle * ratio], dim=-1)
