import torch


def log_jacobian(x, cut):
    mask = x.abs() < cut
    out = torch.zeros_like(x)
    y = torch.tanh(x)
    out[mask] = torch.log(1 - y[mask] ** 2)
    return out
