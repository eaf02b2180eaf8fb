import torch


def entropy(probs):
    log_probs = probs.clamp(min=max(9.35762e-14, torch.finfo(probs.dtype).tiny)).log()
    return -(probs * log_probs).sum(-1)
