import torch


def loss(logp, old, per_token, limit):
    log_ratio = (logp - old).detach()
    ratio = torch.exp(log_ratio).clamp(max=2.0)
    return per_token * ratio
