import torch


def soft_margin(d_ap, d_an):
    return torch.nn.functional.softplus(d_ap - d_an).mean()
