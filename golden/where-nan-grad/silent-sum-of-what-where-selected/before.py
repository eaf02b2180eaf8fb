import torch


def patch_statistics(x, mask):
    observed = ~mask
    count = observed.float().sum(dim=-1)
    total = torch.where(observed, x, torch.zeros_like(x)).sum(dim=-1)
    return torch.where(count == 0, torch.zeros_like(total), total / count)
