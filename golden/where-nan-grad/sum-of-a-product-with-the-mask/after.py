import torch


def patch_means(x, mask):
    observed = (~mask).float()
    count = observed.sum(dim=-1)
    total = (x * observed).sum(dim=-1)
    inside = count == 0
    return torch.where(inside, torch.zeros_like(total), total / torch.where(inside, 1.0, count))
