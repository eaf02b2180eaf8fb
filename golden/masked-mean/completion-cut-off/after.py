import torch


def sequence_log_prob(token_log_probs, labels):
    loss_mask = labels != -100
    return (token_log_probs * loss_mask).sum(-1) / loss_mask.sum(-1).clamp_min(1)
