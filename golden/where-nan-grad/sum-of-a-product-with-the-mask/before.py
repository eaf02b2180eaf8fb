import torch


def patch_means(x, mask):
    observed = (~mask).float()
    count = observed.sum(dim=-1)
    total = (x * observed).sum(dim=-1)
    return torch.where(count == 0, torch.zeros_like(total), total / count)
