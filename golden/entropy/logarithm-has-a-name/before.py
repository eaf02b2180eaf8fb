import torch


def entropy(probs):
    log_probs = torch.log(probs)
    return -(probs * log_probs).sum(-1)
