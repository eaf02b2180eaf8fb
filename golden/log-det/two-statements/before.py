import torch


def gaussian_nll(cov, mahalanobis):
    determinant = torch.det(cov)
    return 0.5 * (torch.log(determinant) + mahalanobis)
