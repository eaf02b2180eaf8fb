import torch


def squashed_std(log_std):
    below = torch.exp(log_std) * (log_std <= 0)
    above = (torch.log1p(log_std.clamp_min(0)) + 1.0) * (log_std > 0)
    return below + above
