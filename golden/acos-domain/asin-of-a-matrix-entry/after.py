import torch


def pitch(R):
    eps = torch.finfo(R.dtype).eps
    return torch.asin((-R[..., 2, 0]).clamp(-1.0 + eps, 1.0 - eps))
