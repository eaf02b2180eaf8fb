import torch


def multi_similarity(similarity, beta, lam):
    return torch.log1p(torch.exp(beta * (similarity - lam)).sum(dim=1)) / beta
