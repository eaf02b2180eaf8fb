import torch


def entropy(probs):
    log_probs = probs.log()
    log_probs.clamp_(min=-30.0)
    return -(probs * log_probs).sum(-1)
