import torch


def rotation_angle(R):
    trace = R.diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.acos((trace - 1) / 2)
