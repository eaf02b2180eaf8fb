import torch


def whiten(covariance):
    u, s, _ = torch.svd(covariance)
    return u @ torch.diag(torch.sqrt(s)) @ u.t()
