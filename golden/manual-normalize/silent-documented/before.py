import torch


def plane_normals(normals: torch.Tensor) -> torch.Tensor:
    """Unit normals, of shape (N, 3). The normal of a degenerate triangle is NaN, which callers test for."""
    return normals / normals.norm(dim=-1, keepdim=True)
