import torch


def entropy(logits):
    probs = torch.softmax(logits, dim=-1)
    log_probs = torch.log(probs.clamp_min(1e-8))
    return -(probs * log_probs).sum(dim=-1)
