import torch
import torch.nn.functional as F


def sobel(x, kx, ky):
    gx = F.conv2d(x, kx)
    gy = F.conv2d(x, ky)
    return torch.sqrt((gx * gx + gy * gy).clamp_min(torch.finfo(gx.dtype).tiny))
