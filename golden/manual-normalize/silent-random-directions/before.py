import torch


def sliced_distance(x, y, directions):
    """Sorted projections on random directions, whose length is never 0."""
    slices = torch.randn(directions, x.shape[-1], device=x.device)
    slices = slices / slices.norm(dim=-1, keepdim=True)
    return ((x @ slices.T).sort(dim=0).values - (y @ slices.T).sort(dim=0).values).square().mean()
