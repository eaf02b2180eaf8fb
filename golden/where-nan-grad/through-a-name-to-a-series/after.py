import torch


def axis_angle_to_quaternion(axis_angle):
    angles = torch.norm(axis_angle, p=2, dim=-1, keepdim=True)
    half = 0.5 * angles
    small = 0.5 - angles * angles / 48
    inside = angles.abs() < 1e-6
    large = torch.sin(half) / torch.where(inside, 1.0, angles)
    ratio = torch.where(inside, small, large)
    return torch.cat([torch.cos(half), axis_angle * ratio], dim=-1)
