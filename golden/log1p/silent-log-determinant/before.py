import torch


def log_det(u, psi):
    inner = torch.sum(psi * u, dim=-1)
    return torch.log(1 + inner)
