import torch


def log_marginal(probs, scores):
    return torch.log(probs.sum(dim=-1)) + torch.exp(scores)
