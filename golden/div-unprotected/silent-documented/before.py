import torch


def project(points: torch.Tensor) -> torch.Tensor:
    """Divide points, of shape (..., 3), by their depth: at depth 0 a coordinate is infinite, or NaN for 0 / 0."""
    return points[..., :2] / points[..., 2:3]
