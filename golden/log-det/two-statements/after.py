import torch


def gaussian_nll(cov, mahalanobis):
    return 0.5 * (torch.logdet(cov) + mahalanobis)
