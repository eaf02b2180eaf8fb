import torch


def soft_margin(d_ap, d_an):
    return torch.log1p(torch.exp(d_ap - d_an)).mean()
