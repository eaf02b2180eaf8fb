import torch


def sliced_distance(x, y, directions):
    slices = torch.randn(x.shape[-1], directions, device=x.device)
    slices = slices / slices.norm(dim=0)
    return ((x @ slices).sort(dim=0).values - (y @ slices).sort(dim=0).values).square().mean()
