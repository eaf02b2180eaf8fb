import torch


def log_likelihood(logits):
    # log-probabilities
    return logits - torch.logsumexp(logits, dim=1, keepdim=True)
