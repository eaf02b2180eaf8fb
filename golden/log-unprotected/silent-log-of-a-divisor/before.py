import torch


def rational_map(x, wa, wb, wc, lam):
    """One piece of a monotonic rational flow: the map and the logarithm of its slope."""
    numerator = wa * (lam - x) + wc * x
    denominator = wb * (lam - x) + wc * x
    outputs = numerator / denominator
    logabsdet = -2 * torch.log(torch.abs(denominator))
    return outputs, logabsdet
