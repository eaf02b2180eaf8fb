import torch

from geometry.linalg import batched_dot_product


def overlap(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return batched_dot_product(a, b).sqrt()
