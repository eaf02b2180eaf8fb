import torch


def project_onto_simplex(v, dim):
    ordered, _ = torch.sort(v, dim=dim, descending=True)
    cumulative = torch.cumsum(ordered, dim=dim) - 1
    rank = torch.arange(1, 1 + v.shape[dim], dtype=v.dtype, device=v.device)
    support = ordered - cumulative / rank >= 0
    k = support.sum(dim=dim, keepdim=True)
    threshold = cumulative.gather(dim, k - 1) / k.to(v.dtype)
    return torch.clamp(v - threshold, min=0)
