import torch


def multi_similarity(similarity, beta, lam):
    return torch.nn.functional.softplus(torch.logsumexp(beta * (similarity - lam), dim=1)) / beta
