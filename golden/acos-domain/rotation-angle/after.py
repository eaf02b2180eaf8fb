import torch


def rotation_angle(R):
    trace = R.diagonal(dim1=-2, dim2=-1).sum(-1)
    eps = torch.finfo(trace.dtype).eps
    return torch.acos(((trace - 1) / 2).clamp(-1.0 + eps, 1.0 - eps))
