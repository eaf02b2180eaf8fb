import torch


def log_likelihood(logits):
    exp = torch.exp(logits)
    total = exp.sum(dim=1, keepdim=True)
    # log-probabilities
    return logits - torch.log(total)
