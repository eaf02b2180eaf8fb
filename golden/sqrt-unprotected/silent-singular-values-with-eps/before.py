import torch


def whiten(covariance, eps=1e-5):
    u, s, _ = torch.linalg.svd(covariance)
    return u @ torch.diag(torch.rsqrt(s + eps)) @ u.t()
