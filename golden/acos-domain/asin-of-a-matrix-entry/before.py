import torch


def pitch(R):
    return torch.asin(-R[..., 2, 0])
