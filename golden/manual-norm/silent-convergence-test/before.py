import torch


def fit(x, centres, tolerance, steps):
    for _ in range(steps):
        nearest = torch.cdist(x, centres).argmin(-1)
        moved = torch.stack([x[nearest == k].mean(0) for k in range(len(centres))])
        shift = torch.sum(torch.sqrt(torch.sum((moved - centres) ** 2, dim=1)))
        centres = moved
        if shift**2 <= tolerance:
            break
    return centres
