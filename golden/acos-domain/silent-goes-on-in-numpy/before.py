import torch
from scipy.special import sph_harm


def harmonics(xyz, m, n):
    xyz = xyz / xyz.norm(dim=-1).view(-1, 1)
    polar = torch.acos(xyz[:, 2])
    azimuth = torch.atan2(-xyz[:, 1], -xyz[:, 0])
    polar = polar.cpu().numpy()
    azimuth = azimuth.cpu().numpy()
    return torch.from_numpy(sph_harm(m, n, azimuth, polar).real)
