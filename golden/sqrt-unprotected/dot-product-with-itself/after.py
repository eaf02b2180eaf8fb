import torch

from geometry.linalg import batched_dot_product


def rotation_angle(omega: torch.Tensor) -> torch.Tensor:
    """The angle of an axis-angle vector."""
    theta = batched_dot_product(omega, omega).clamp_min(torch.finfo(omega.dtype).tiny).sqrt()
    return theta * (omega.shape[-1] - 1)
