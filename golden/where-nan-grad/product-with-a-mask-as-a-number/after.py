import torch


def squashed_std(log_std):
    inside = log_std <= 0
    below = torch.exp(torch.where(inside, log_std, 0.0)) * inside
    above = (torch.log1p(log_std.clamp_min(0)) + 1.0) * (log_std > 0)
    return below + above
