import torch


def widths(filters):
    peaks, _ = torch.max(filters, dim=1, keepdim=True)
    above = (filters >= peaks / 2.0).float()
    return 2.0 * filters.sum(dim=1) / torch.sum(above, dim=1)
